"""The three stages of a picture in a folder: read, enlarge, write. Each may run in a thread of its own."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from esrt_core.engine.plan import make_plan
from esrt_core.manifest import Entry, digest
from esrt_core.media.frame import Frame
from esrt_core.media.image import decode
from esrt_core.media.picture import Page, Picture
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.enlarge import Enlarged, enlarge_group, finished, prepared
from esrt_core.pipeline.folder_job import FolderJob
from esrt_core.pipeline.folder_plan import Task
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.pipeline.upscale import Result, make_result, upscale_picture, write_pages, write_sheet
from esrt_core.progress import Progress, ProgressCallback

CheckWanted = Callable[[], None]


@dataclass(frozen=True)
class Loaded:
    """Hold a picture of one page that is ready for the network."""

    task: Task
    picture: Picture
    page: Page
    size: SizePlan
    frame: Frame
    seconds: float


@dataclass(frozen=True)
class Made:
    """Hold what the network made of a loaded picture, on which engines, and the seconds of both stages."""

    loaded: Loaded
    enlarged: Enlarged
    engines: Engines
    seconds: float


def load(task: Task) -> Loaded:
    """Decode a picture of one page. Raise what decode() raises."""
    started = time.perf_counter()
    picture = decode(task.plan.source.source, task.plan.options.limits)
    page = next(iter(picture.pages))
    size = task.plan.size_of_page(page.frame.width, page.frame.height)
    frame = prepared(page.frame, size)
    return Loaded(task, picture, page, size, frame, time.perf_counter() - started)


def make(group: Sequence[Loaded], engines: Engines, check_wanted: CheckWanted) -> list[Made]:
    """Take pictures with the same line-up and passes through the network together."""
    started = time.perf_counter()
    engines = engines.of(group[0].task.plan.lineup)
    frames = [loaded.frame for loaded in group]
    enlarged = enlarge_group(frames, group[0].size.passes, engines, _watch(check_wanted))
    seconds = (time.perf_counter() - started) / len(group)
    return [Made(loaded, each, engines, loaded.seconds + seconds) for loaded, each in zip(group, enlarged, strict=True)]


def write(made: Made, job: FolderJob, check_wanted: CheckWanted) -> Result:
    """Write a result under its name, and note it in the manifest."""
    started = time.perf_counter()
    loaded, task = made.loaded, made.loaded.task
    plan, page = task.plan, loaded.page
    enlarged = finished(made.enlarged, loaded.size, page.frame.depth)
    seal = Seal(task, job, check_wanted)
    task.place.check_there()
    larger = Page(enlarged.frame, page.duration_ms, page.value_range, page.notes)
    lost = write_pages(plan, task.target, [larger], loaded.picture.metadata, seal)
    sheet = write_sheet(plan, page.frame, enlarged.frame, made.engines.model) if plan.options.compare else None
    notes = (*plan.notes, *loaded.picture.info.notes, *loaded.picture.notes, *page.notes, *enlarged.notes, *lost)
    seconds = made.seconds + time.perf_counter() - started
    tiles = (enlarged.tile, enlarged.computed, enlarged.reused)
    result = make_result(plan, made.engines, tiles, notes, seconds, sheet)
    seal.done(result, made.engines)
    return result


def run_whole(task: Task, engines: Engines, job: FolderJob, check_wanted: CheckWanted) -> Result:
    """Take a picture of several pages from file to file, page by page."""
    seal = Seal(task, job, check_wanted)
    task.place.check_there()
    result = upscale_picture(task.plan, engines, _watch(check_wanted), sealed=seal)
    seal.done(result, engines.of(task.plan.lineup))
    return result


class Seal:
    """Note a result in the manifest: "writing" when it is complete, "done" when it has its name."""

    def __init__(self, task: Task, job: FolderJob, check_wanted: CheckWanted) -> None:
        self._task = task
        self._job = job
        self._check_wanted = check_wanted
        self._size = 0
        self._sha256 = ""

    def __call__(self, complete: Path) -> None:
        """Note that a complete file is about to get its name."""
        self._check_wanted()
        self._size, self._sha256 = complete.stat().st_size, digest(complete)
        self._task.place.note(self._entry("writing"))

    def done(self, result: Result, engines: Engines) -> None:
        """Note that it has it; a tile that is not the usual one is used again when the work goes on."""
        kind = result.device.partition(":")[0]
        usual = result.tile == make_plan(8, 8, engines.scales[0], kind, self._job.options["tile"]).tile
        self._task.place.note(self._entry("done", None if usual else result.tile, None if usual else kind))

    def _entry(self, state: str, tile: int | None = None, device: str | None = None) -> Entry:
        entry = self._task.entry(state, self._job)
        return replace(entry, target_size=self._size, sha256=self._sha256, tile=tile, device=device)


def _watch(check_wanted: CheckWanted) -> ProgressCallback:
    def watch(report: Progress) -> None:
        check_wanted()

    return watch
