"""One frame through all passes of its plan."""

from dataclasses import dataclass

from esrt_core.media.alpha import bleed
from esrt_core.media.frame import Frame
from esrt_core.pipeline.depth import PRECISE, with_depth
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.media.resize import resize_frame


@dataclass(frozen=True)
class Enlarged:
    """Hold a larger frame and how it came about; `tile` is the smallest one used, in px."""

    frame: Frame
    notes: tuple[str, ...]
    tile: int
    computed: int
    reused: int


def enlarge(frame: Frame, size: SizePlan, engines: Engines, progress: ProgressCallback = ignore_progress) -> Enlarged:
    """Enlarge a frame to the size of its plan; space, depth and alpha stay.

    Between passes, and before the reduction, an 8-bit frame has 16 bits, so that it is rounded to 8 only once.
    Progress is reported in tiles over all passes.
    """
    depth = frame.depth
    several_steps = len(size.passes) > 1 or size.resample
    frame = with_depth(bleed(frame), PRECISE if depth == 8 and several_steps else depth)
    notes: dict[str, None] = {}
    tiles, computed, reused = [], 0, 0
    meter = Meter(tiles_of_passes(frame.width, frame.height, size, engines), progress)
    for scale in size.passes:
        upscaled = engines.upscaler(scale).upscale(frame, meter)
        meter.next_pass()
        frame = upscaled.frame
        notes.update(dict.fromkeys(upscaled.notes))
        tiles.append(upscaled.tile)
        computed, reused = computed + upscaled.computed, reused + upscaled.reused
    if size.resample:
        frame = resize_frame(frame, size.width, size.height)
    return Enlarged(with_depth(frame, depth), tuple(notes), min(tiles), computed, reused)


def tiles_of_passes(width: int, height: int, size: SizePlan, engines: Engines) -> tuple[int, ...]:
    """Return how many tiles every pass over a (width, height) px picture takes."""
    steps = zip(size.passes, size.entering(width, height), strict=True)
    return tuple(engines.upscaler(scale).plan(*entering).tiles for scale, entering in steps)


class Meter:
    """Turn the engine's reports on single passes into one count of tiles over all of them."""

    def __init__(self, tiles: tuple[int, ...], progress: ProgressCallback) -> None:
        self._tiles = tiles
        self._progress = progress
        self._passes = 0

    def __call__(self, report: Progress) -> None:
        """Take a report of the pass in hand. Its own total may be larger than planned: alpha has tiles too."""
        share = report.done / report.total if report.total else 0.0
        done = sum(self._tiles[: self._passes]) + round(share * self._tiles[self._passes])
        self._progress(Progress(report.stage, done, sum(self._tiles), report.unit))

    def next_pass(self) -> None:
        """Go on to the next pass."""
        self._passes += 1
