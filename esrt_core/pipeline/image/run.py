"""What a plan will take, asked of the engine before the work.

Carry out the plan of one picture: decode, enlarge, encode.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, cast

from esrt_core.errors import OptionError, TargetError
from esrt_core.evaluation.comparison import result_sheet
from esrt_core.files import atomic_write, make_folder
from esrt_core.media.frame import Frame
from esrt_core.media.image.decode import decode
from esrt_core.media.image.encode import encode
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page, Picture
from esrt_core.pipeline.enlarge import enlarge, tiles_of_passes
from esrt_core.pipeline.image.plan import UpscalePlan
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.selection import UpscalerPool

LONG = 200_000  # px through the network; below that, finding out how long it takes is a good part of the work


@dataclass(frozen=True)
class Estimate:
    """Hold device, precision, tiles over all pages and passes, and seconds of computation, None for short work."""

    device: str
    precision: str
    tiles: int
    seconds: float | None


def estimate(plan: UpscalePlan, pool: UpscalerPool) -> Estimate:
    """Load the networks of a plan and estimate its work; the first estimate of long work times one tile."""
    pool = pool.for_chain(plan.chain)
    first = pool.upscaler(plan.size.passes[0])
    sizes = plan.size.entering(plan.info.width, plan.info.height)
    tiles = sum(tiles_of_passes(plan.info.width, plan.info.height, plan.size, pool)) * plan.pages
    parts = plan.pages * (2 if plan.info.has_alpha else 1)  # alpha goes through the network as a gray picture
    seconds = None
    if parts * sum(width * height for width, height in sizes) >= LONG:
        steps = enumerate(zip(plan.size.passes, sizes, strict=True))
        seconds = parts * sum(
            pool.upscaler(scale, pass_index).estimate_seconds(*size) for pass_index, (scale, size) in steps
        )
    precision = first.precision_for(plan.size.depth_between(plan.info.depth))
    return Estimate(first.device_name, precision, tiles, seconds)


_IN_MEMORY = 64 * 2**20  # bytes of a result for standard output that are kept out of a temporary file

BeforePublish = Callable[[Path], None]


@dataclass(frozen=True)
class Result:
    """Say what became of one picture.

    source, target  what was read and written; `sheet` is the comparison, where one was asked for.
    source_size     (width, height) px, as is `size`.
    model           weights of the first pass; `reason` says why, where they were chosen by the picture.
    passes          scales of the network's passes; `resampled` says that a reduction followed.
    computed        tiles that went through the network; `reused` ones equalled them byte for byte.
    notes           what was changed, lost or repaired on the way.
    """

    source: str
    target: str
    format: str
    source_size: tuple[int, int]
    size: tuple[int, int]
    pages: int
    passes: tuple[int, ...]
    resampled: bool
    model: str
    reason: str
    device: str
    precision: str
    tile: int
    computed: int
    reused: int
    seconds: float
    notes: tuple[str, ...]
    sheet: str | None = None


def upscale_picture(
    plan: UpscalePlan,
    pool: UpscalerPool,
    progress: ProgressCallback = ignore_progress,
    stream: BinaryIO | None = None,
    before_publish: BeforePublish = lambda complete: None,
) -> Result:
    """Make the larger picture of a plan and write it to its target, or to `stream` where the target is no file.

    Pages go through one by one. `before_publish` is called with the complete file before it gets its name; nothing
    appears under the target's name before that.

    Raises: MediaError, TargetError, WeightsError and DeviceError.
    """
    started = time.perf_counter()
    pool = pool.for_chain(plan.chain)
    picture = decode(plan.source.source, plan.options.limits)
    work = _Work(plan, pool, progress)
    if plan.target.path is None:
        lost = _write_stream(plan, work.pages(picture), picture.metadata, stream)
    else:
        lost = write_pages(plan, plan.target.path, work.pages(picture), picture.metadata, before_publish)
    sheet = None if work.first is None else write_sheet(plan, *work.first, work.pool.model)
    notes = (*plan.notes, *picture.info.notes, *picture.notes, *work.notes, *lost)
    seconds = time.perf_counter() - started
    return make_result(plan, pool, (work.tile, work.computed, work.reused), notes, seconds, sheet)


@dataclass
class _Work:
    """Carry what is learnt while the pages go through."""

    plan: UpscalePlan
    pool: UpscalerPool
    progress: ProgressCallback
    notes: dict[str, None] = field(default_factory=dict)
    tile: int = 0
    computed: int = 0
    reused: int = 0
    first: tuple[Frame, Frame] | None = None

    def pages(self, picture: Picture) -> Iterator[Page]:
        """Yield the enlarged pages."""
        for index, page in enumerate(islice(picture.pages, self.plan.pages)):
            size = self.plan.size_of_page(page.frame.width, page.frame.height)
            enlarged = enlarge(page.frame, size, self.pool, self._reporter(index))
            self.notes.update(dict.fromkeys((*page.notes, *enlarged.notes)))
            self.computed += enlarged.computed
            self.reused += enlarged.reused
            self.tile = min(self.tile, enlarged.tile) if index else enlarged.tile
            if index == 0 and self.plan.options.compare:
                self.first = (page.frame, enlarged.frame)
            yield replace(page, frame=enlarged.frame)

    def _reporter(self, index: int) -> ProgressCallback:
        """Count the tiles of one page on top of those of the pages before it, which have as many."""
        pages = self.plan.pages

        def report(page: Progress) -> None:
            self.progress(Progress(page.stage, index * page.total + page.done, pages * page.total, page.unit))

        return report


def write_pages(
    plan: UpscalePlan, target: Path, pages: Iterable[Page], metadata: Metadata, before_publish: BeforePublish
) -> tuple[str, ...]:
    """Write enlarged pages as the file of a plan, and return what was lost or changed."""
    make_folder(target.parent)
    with atomic_write(target, plan.options.overwrite) as temporary:
        lost = encode(pages, temporary, plan.target.format.name, metadata, plan.encode)
        before_publish(temporary)
    return lost


def _write_stream(
    plan: UpscalePlan, pages: Iterable[Page], metadata: Metadata, stream: BinaryIO | None
) -> tuple[str, ...]:
    if stream is None:
        raise OptionError("the result is meant for standard output, but there is no stream for it")
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        lost = encode(pages, cast(BinaryIO, file), plan.target.format.name, metadata, plan.encode)
        file.seek(0)
        _pour(file, stream)
    return lost


def _pour(file: IO[bytes], stream: BinaryIO) -> None:
    try:
        shutil.copyfileobj(file, stream)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TargetError(f"standard output cannot be written: {error.strerror}") from error


def write_sheet(plan: UpscalePlan, source: Frame, result: Frame, model: str) -> Path | None:
    """Write the comparison of a page beside its result, and return where it lies."""
    if plan.target.sheet is None:
        return None
    sheet = result_sheet(source, result, model=model)
    with atomic_write(plan.target.sheet, plan.options.overwrite) as temporary:
        encode([Page(sheet)], temporary, "png", Metadata(), EncodeOptions())
    return plan.target.sheet


def make_result(
    plan: UpscalePlan,
    pool: UpscalerPool,
    tiles: tuple[int, int, int],
    notes: Iterable[str],
    seconds: float,
    sheet: Path | None,
) -> Result:
    """Sum up what came of a plan; `tiles` is their side, how many were computed and how many reused."""
    engine = pool.upscaler(plan.size.passes[0])
    return Result(
        source=plan.source.name if plan.source.path is None else str(plan.source.path),
        target=plan.target.name if plan.target.path is None else str(plan.target.path),
        format=plan.target.format.name,
        source_size=(plan.info.width, plan.info.height),
        size=(plan.size.width, plan.size.height),
        pages=plan.pages,
        passes=plan.size.passes,
        resampled=plan.size.resample,
        model=pool.model,
        reason=plan.chain.reason,
        device=engine.device_name,
        precision=engine.precision_for(plan.size.depth_between(plan.info.depth)),
        tile=tiles[0],
        computed=tiles[1],
        reused=tiles[2],
        seconds=round(seconds, 3),
        notes=tuple(dict.fromkeys(notes)),
        sheet=None if sheet is None else str(sheet),
    )
