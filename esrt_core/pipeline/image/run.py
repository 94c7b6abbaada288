"""Upscale pictures one by one, in three steps: load (decode), enlarge (the network), write (encode and rename).

Decoding ends before the network starts, and encoding starts after it has ended; only the pages of a file with several
are streamed. A folder calls the same steps from threads, a cluster from actors.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from esrt_core.errors import EsrtError, OptionError, StopError, TargetError
from esrt_core.evaluation.damage import GOOD_QUALITY, look, visible_damage
from esrt_core.files import atomic_write, make_folder
from esrt_core.media.frame import Frame
from esrt_core.media.image.decode import decode
from esrt_core.media.image.encode import encode
from esrt_core.media.image.picture import SHEET, EncodeOptions, Metadata, Page, Picture
from esrt_core.pipeline.enlarge import enlarge_frames, finish, prepare, tiles_of_passes, total
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, SheetError, UpscalePlan, check_distinct, plan_upscale
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.selection import UpscalerPool, container_of_image, hashes_of

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaled

LONG = 200_000  # px through the network; for fewer, measuring would take a large part of the time
UNDAMAGED = "hardly any damage is seen: cleaning up at the same size takes more detail than damage away"
_IN_MEMORY = 64 * 2**20  # bytes of a result for standard output that are kept out of a temporary file
BeforePublish = Callable[[Path], None]


@dataclass(frozen=True)
class LoadedPage:
    """Hold a decoded page, the size it will get, and the frame prepared for the first pass."""

    page: Page
    size: SizePlan
    frame: Frame


@dataclass(frozen=True)
class Loaded:
    """Hold a decoded picture and the seconds spent on it; the weights of `plan` are chosen.

    `pages` are in memory if there is only one; several are decoded one by one while they are iterated, once.
    """

    plan: UpscalePlan
    picture: Picture
    pages: Iterable[LoadedPage]
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """Hold device, precision, tiles over all pages and passes, and seconds of computation (None for short work)."""

    device: str
    precision: str
    tiles: int
    seconds: float | None


@dataclass(frozen=True)
class Result:
    """Report one upscaled picture.

    source, target  what was read and written; `sheet` is the comparison, if one was requested.
    source_size     (width, height) in px, as is `size`.
    model           weights of the first pass; `reason` says why, if they were chosen by the picture.
    passes          scales of the network passes; `resampled` if a reduction followed.
    tile            the smallest tile in px, 0 for the whole picture at once.
    computed        tiles that went through the network; `reused` ones equaled others byte for byte.
    seconds         of all steps.
    notes           what was changed, lost or repaired.
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


class Listener(Protocol):
    """Receive the events of upscale_pictures()."""

    def planned(self, plan: UpscalePlan, expected: Estimate) -> None:
        """Handle a picture that is about to be upscaled."""

    def progress(self, report: Progress) -> None:
        """Handle the progress of that picture."""

    def done(self, result: Result) -> None:
        """Handle a result."""

    def failed(self, source: str, error: EsrtError) -> None:
        """Handle a picture that could not be planned or upscaled."""

    def note(self, text: str) -> None:
        """Handle a note about the weights."""


def upscale_pictures(
    sources: Sequence[str | bytes], options: UpscaleOptions, listener: Listener, stream: BinaryIO, *, dry_run: bool
) -> None:
    """Plan all pictures, then upscale them one by one; those that fail are reported and do not stop the others.

    A source is the path of a file, or the content of one. Results for standard output go to `stream`. With `dry_run`,
    pictures are only planned.

    Raises: OptionError if two results would be one file, WeightsError or DeviceError if weights or device are unusable.
    """
    pool = UpscalerPool(options.model, options.engine)
    plans = list(_plans(sources, options, pool, listener))
    check_distinct(plans)
    for plan in plans:  # unusable weights or an unusable device would fail every picture, so they stop the run
        pool.for_chain(plan.chain).load(plan.size.passes)
        for possible, passes in plan.choices:
            hashes_of(pool.for_chain(possible), passes)
    for note in pool.notes:
        listener.note(note)
    for plan in plans:
        try:
            listener.planned(plan, estimate(plan, pool))
            if not dry_run:
                listener.done(upscale_picture(plan, pool, listener.progress, stream))
        except StopError:
            raise
        except EsrtError as error:
            listener.failed(plan.source.name, error)


def _plans(
    sources: Sequence[str | bytes], options: UpscaleOptions, pool: UpscalerPool, listener: Listener
) -> Iterator[UpscalePlan]:
    for source in sources:
        try:
            yield plan_upscale(_input(source), options, pool.selector)
        except EsrtError as error:
            if isinstance(error, SheetError) and len(sources) > 1:  # a glob matched it
                listener.note(f"skipped: {error}")
                continue
            listener.failed(source if isinstance(source, str) else Input(source).name, error)


def _input(source: str | bytes) -> Input:
    if isinstance(source, bytes):
        return Input(source)
    if not source:
        raise OptionError("an input is empty; name a file, or - for standard input")
    if "://" in source and not os.path.lexists(source):
        raise OptionError(f"{source} is a remote address; download the picture first, or pipe it to: esrt upscale -")
    return Input(Path(source))


def estimate(plan: UpscalePlan, pool: UpscalerPool) -> Estimate:
    """Load the networks of a plan and estimate its work; the first estimate of long work times one tile."""
    pool = pool.for_chain(plan.chain)
    first = pool.upscaler(plan.size.passes[0])
    sizes = plan.size.entering(plan.info.width, plan.info.height)
    tiles = sum(tiles_of_passes(plan.info.width, plan.info.height, plan.size.passes, pool)) * plan.pages
    parts = plan.pages * (2 if plan.info.has_alpha else 1)  # alpha is a second, gray picture for the network
    seconds = None
    if parts * sum(width * height for width, height in sizes) >= LONG:
        steps = enumerate(zip(plan.size.passes, sizes, strict=True))
        seconds = parts * sum(pool.upscaler(scale, index).estimate_seconds(*size) for index, (scale, size) in steps)
    precision = first.precision_for(plan.size.depth_between(plan.info.depth))
    return Estimate(first.device_name, precision, tiles, seconds)


def upscale_picture(
    plan: UpscalePlan,
    pool: UpscalerPool,
    progress: ProgressCallback = ignore_progress,
    stream: BinaryIO | None = None,
    before_publish: BeforePublish = lambda complete: None,
) -> Result:
    """Upscale the picture of a plan and write it to its target, or to `stream` if the target is standard output.

    `before_publish` is called with the complete temporary file before it gets its name; until then nothing exists under
    the target's name.

    Raises: MediaError, TargetError, WeightsError or DeviceError.
    """
    loaded = load(plan)
    started = time.perf_counter()
    pages = enlarge(loaded, pool, progress)
    seconds = loaded.seconds + time.perf_counter() - started
    return write(loaded, pages, pool, seconds, stream, before_publish)


def load(plan: UpscalePlan) -> Loaded:
    """Decode the picture of a plan and choose its weights by its first page.

    Raises: MediaError if it cannot be decoded; for the later pages of a file, this is raised during iteration.
    """
    started = time.perf_counter()
    picture = decode(plan.source.source, plan.options.limits)
    decoded = iter(picture.pages)
    if plan.is_open or plan.options.size.cleans_up:
        first = next(decoded)
        plan, decoded = _decided(plan, first.frame), chain([first], decoded)
    pages: Iterable[LoadedPage] = (_prepared(plan, page) for page in islice(decoded, plan.pages))
    if plan.pages == 1:
        pages = tuple(pages)
    return Loaded(plan, picture, pages, time.perf_counter() - started)


def _decided(plan: UpscalePlan, frame: Frame) -> UpscalePlan:
    """Choose the weights by the first frame, and note if cleaning up will cost it more than it gains."""
    if plan.is_open:
        plan = plan.choose_chain(frame)
    if plan.options.size.cleans_up and not _is_damaged(plan, frame):
        return replace(plan, notes=(*plan.notes, UNDAMAGED))
    return plan


def _is_damaged(plan: UpscalePlan, frame: Frame) -> bool:
    container = container_of_image(plan.info)
    poor = container.quality is not None and container.quality < GOOD_QUALITY
    return bool(poor or container.codec or visible_damage(look([frame])))


def _prepared(plan: UpscalePlan, page: Page) -> LoadedPage:
    size = plan.size_of_page(page.frame.width, page.frame.height)
    return LoadedPage(page, size, prepare(page.frame, size))


def enlarge(
    loaded: Loaded, pool: UpscalerPool, progress: ProgressCallback = ignore_progress
) -> Iterable[tuple[LoadedPage, Upscaled]]:
    """Take a picture through the network: at once if it has one page, else page by page during iteration.

    `progress` counts tiles over all passes and pages.
    """
    pool = pool.for_chain(loaded.plan.chain)
    if loaded.plan.pages > 1:
        return _enlarged_pages(loaded, pool, progress)
    (page,) = loaded.pages
    (upscaled,) = enlarge_frames([page.frame], page.size.passes, pool, progress)
    return [(page, finish(upscaled, page.size, page.page.frame.depth))]


def _enlarged_pages(
    loaded: Loaded, pool: UpscalerPool, progress: ProgressCallback
) -> Iterator[tuple[LoadedPage, Upscaled]]:
    count = loaded.plan.pages
    for index, page in enumerate(loaded.pages):

        def report(of_page: Progress, index: int = index) -> None:
            """Count the tiles of a page on top of those of the pages before it, which have as many."""
            done = index * of_page.total + of_page.done
            progress(Progress(of_page.stage, done, count * of_page.total, of_page.unit))

        (upscaled,) = enlarge_frames([page.frame], page.size.passes, pool, report)
        yield page, finish(upscaled, page.size, page.page.frame.depth)


def write(
    loaded: Loaded,
    pages: Iterable[tuple[LoadedPage, Upscaled]],
    pool: UpscalerPool,
    seconds: float,
    stream: BinaryIO | None = None,
    before_publish: BeforePublish = lambda complete: None,
) -> Result:
    """Encode enlarged pages, write them to the target of their plan, and return the result.

    `seconds` were spent on the earlier steps. `stream` and `before_publish` are as for upscale_picture().
    """
    started, plan = time.perf_counter(), loaded.plan
    notes: dict[str, None] = dict.fromkeys((*plan.notes, *loaded.picture.info.notes, *loaded.picture.notes))
    work: list[Upscaled] = []  # one value for the pages so far
    compared: list[tuple[Frame, Frame]] = []

    def larger() -> Iterator[Page]:
        for each, upscaled in pages:
            notes.update(dict.fromkeys((*each.page.notes, *upscaled.notes)))
            if plan.options.compare and not compared:
                compared.append((each.page.frame, upscaled.frame))
            work[:] = [total([*work, upscaled])]
            yield replace(each.page, frame=upscaled.frame)

    lost = _write_pages(plan, larger(), loaded.picture.metadata, stream, before_publish)
    pool = pool.for_chain(plan.chain)
    sheet = _write_sheet(plan, *compared[0], pool.model) if compared else None
    result = _result(plan, pool, work[0], (*notes, *lost), sheet)
    return replace(result, seconds=round(seconds + time.perf_counter() - started, 3))


def _result(plan: UpscalePlan, pool: UpscalerPool, work: Upscaled, notes: Sequence[str], sheet: Path | None) -> Result:
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
        tile=work.tile,
        computed=work.computed,
        reused=work.reused,
        seconds=0.0,
        notes=tuple(dict.fromkeys(notes)),
        sheet=None if sheet is None else str(sheet),
    )


def _write_pages(
    plan: UpscalePlan,
    pages: Iterable[Page],
    metadata: Metadata,
    stream: BinaryIO | None,
    before_publish: BeforePublish,
) -> tuple[str, ...]:
    """Encode pages into the target of a plan, and return what was lost or changed."""
    if plan.target.path is None:
        return _write_stream(plan, pages, metadata, stream)
    make_folder(plan.target.path.parent, plan.root)
    with atomic_write(plan.target.path, plan.options.overwrite) as temporary:
        lost = encode(pages, temporary, plan.target.format.name, metadata, plan.encode)
        before_publish(temporary)
    return lost


def _write_stream(
    plan: UpscalePlan, pages: Iterable[Page], metadata: Metadata, stream: BinaryIO | None
) -> tuple[str, ...]:
    if stream is None:
        raise OptionError("the result is for standard output, but no stream was given")
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        lost = encode(pages, cast(BinaryIO, file), plan.target.format.name, metadata, plan.encode)
        file.seek(0)
        _copy(file, stream)
    return lost


def _copy(file: IO[bytes], stream: BinaryIO) -> None:
    try:
        shutil.copyfileobj(file, stream)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TargetError(f"standard output cannot be written: {error.strerror}") from error


def _write_sheet(plan: UpscalePlan, source: Frame, result: Frame, model: str) -> Path | None:
    """Write the comparison of a page beside its result, and return its path."""
    if plan.target.sheet is None:
        return None
    from esrt_core.evaluation.comparison import result_sheet  # only --compare needs it

    sheet = result_sheet(source, result, model=model)
    with atomic_write(plan.target.sheet, plan.options.overwrite) as temporary:
        encode([Page(sheet)], temporary, "png", SHEET, EncodeOptions())
    return plan.target.sheet
