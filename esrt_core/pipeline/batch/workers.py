"""What a run may have in hand at once, so that its memory is bounded.

The engines that do the work of a folder: those of every device, or two for a CPU.

The three stages of a picture in a folder: read, enlarge, write. Each may run in a thread of its own.

Pictures in flow: some threads read ahead, one a device enlarges, some write behind; memory is bounded.
"""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from esrt_core.engine.batching import BATCHES, MOST_FRAMES
from esrt_core.engine.device import cpu_threads, take_cpu_threads
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.plan import make_plan, tiling_for
from esrt_core.errors import EsrtError
from esrt_core.media.frame import Frame
from esrt_core.media.image.decode import decode
from esrt_core.media.image.picture import Page, Picture
from esrt_core.pipeline.batch.manifest import Entry, digest
from esrt_core.pipeline.batch.outputs import FolderJob, Place
from esrt_core.pipeline.batch.plan import FolderPlan, Task
from esrt_core.pipeline.enlarge import Enlarged, enlarge_group, finished, prepared
from esrt_core.pipeline.image.run import Result, make_result, upscale_picture, write_pages, write_sheet
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.selection import Engines, Lineup

IN_HAND_BYTES = 512 * 2**20  # of decoded pixels, before and after; a larger picture is in hand by itself
IN_HAND = 48  # pictures


class Budget:
    """Count what the pictures in hand take."""

    def __init__(self) -> None:
        self._pictures = 0
        self._bytes = 0

    def admits(self, task: Task) -> bool:
        """Tell whether there is room for a task; there always is when nothing is in hand."""
        fits = self._pictures < IN_HAND and self._bytes + bytes_in_hand(task) <= IN_HAND_BYTES
        return fits or self._pictures == 0

    def add(self, task: Task) -> None:
        """Take a task in hand."""
        self._pictures += 1
        self._bytes += bytes_in_hand(task)

    def remove(self, task: Task) -> None:
        """Let go of a task."""
        self._pictures -= 1
        self._bytes -= bytes_in_hand(task)


def bytes_in_hand(task: Task) -> int:
    """Return about what a picture's frames take: of one page, before and after, and once more while it is encoded."""
    info, size = task.plan.info, task.plan.size
    pixels = info.width * info.height + 2 * size.width * size.height
    return pixels * (4 if info.has_alpha else 3) * (info.depth // 8)


LARGEST = 1 / 8  # of the px of a folder in one picture; were it the last one, half of the threads would have to do it


def make_crew(plan: FolderPlan) -> list[Engines]:
    """Return engines for every device of a plan that has work, with the tile that an earlier run shrank to.

    Two for a CPU alone, each with half of its threads, where no picture is a large part of the work: all threads take
    longer for one picture than half of them for two. Raise WeightsError or DeviceError where they cannot be used.
    """
    options = plan.options.upscale
    chains = {(task.plan.lineup, task.plan.size.passes) for task in plan.tasks}
    lineup, passes = plan.tasks[0].plan.lineup, plan.tasks[0].plan.size.passes
    crew: list[Engines] = []
    for device in _doubled(named_devices(plan.options.devices), options.engine.threads, plan.tasks):
        engines = _ready(Engines(options.model, replace(options.engine, device=device)), chains)
        kind = engines.of(lineup).upscaler(passes[0]).device_name.partition(":")[0]
        tile = _earlier_tile(plan.places.values(), plan.job, kind)
        if tile is not None:
            smaller: EngineOptions = replace(engines.options, tile=tile)
            engines = _ready(Engines(options.model, smaller), chains)
        crew.append(engines)
    return crew


def named_devices(devices: Sequence[str]) -> tuple[str, ...]:
    """Return the devices that are meant: "all" is every CUDA device, or what "auto" is where there is none."""
    if tuple(devices) != ("all",):
        return tuple(devices)
    from esrt_core.engine.device import cuda_devices

    return cuda_devices() or ("auto",)


def _doubled(devices: Sequence[str], threads: int | None, tasks: Sequence[Task]) -> Sequence[str]:
    """Return the devices, a lone CPU twice where its threads halve and no picture is a large part of the work."""
    from esrt_core.engine.device import choose_device, cpu_threads

    pixels = [task.plan.info.width * task.plan.info.height * task.plan.pages for task in tasks]
    if len(devices) > 1 or max(pixels) > LARGEST * sum(pixels) or (threads or cpu_threads()) % 2:
        return devices
    return (*devices, *devices) if choose_device(devices[0]).type == "cpu" else devices


def _ready(engines: Engines, chains: Iterable[tuple[Lineup, tuple[int, ...]]]) -> Engines:
    for lineup, passes in chains:
        engines.of(lineup).load(passes)
    return engines


def _earlier_tile(places: Iterable[Place], job: FolderJob, kind: str) -> int | None:
    """Return the smallest tile that an earlier run went on with on a kind of device after memory ran out."""
    tiles = [tile for place in places if (tile := place.manifest.smaller_tile.get((job.id, kind))) is not None]
    return min(tiles, default=None)


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


_POLL = 0.2  # seconds after which a waiting thread looks whether it is still wanted
_PATIENCE = 5.0  # seconds that reading and writing may still take when the work is broken off

Item = TypeVar("Item")


@dataclass(frozen=True)
class Outcome:
    """Say what became of a task: a result, an error, or neither where another run has it.

    `in_network` says that the error came while the network ran.
    """

    task: Task
    result: Result | None = None
    error: Exception | None = None
    in_network: bool = False


class BrokenOffError(Exception):
    """Unwind a thread when the work is broken off."""


class Flow:
    """Take tasks through the three stages.

    `crew` has the engines of every device, which share the threads of the CPU; `computed` is told, in the engines'
    threads, of every task that a network has done.
    """

    def __init__(
        self, tasks: Sequence[Task], crew: Sequence[Engines], job: FolderJob, computed: Callable[[Task], None]
    ) -> None:
        self._crew = crew
        self._job = job
        self._computed = computed
        self._waiting = deque(tasks)
        self._taking = threading.Lock()
        self._budget = Budget()
        self._loaded: queue.Queue[Loaded | Task] = queue.Queue()
        self._made: queue.Queue[Made] = queue.Queue()
        self._outcomes: queue.Queue[Outcome] = queue.Queue()
        self._in_hand = 0
        self._finishing = threading.Event()
        self._broken_off = threading.Event()
        self._ended = threading.Event()

    def finish(self) -> None:
        """Let nothing more into the network; what has gone in goes on to its end."""
        self._finishing.set()
        with self._taking:
            self._waiting.clear()

    def run(self) -> Generator[Outcome]:
        """Yield what becomes of the tasks, as they end. When the iterator is closed early, the work is broken off."""
        helpers = max(2, min(8, (os.cpu_count() or 2) // 2))
        coders = _started([self._read] * helpers + [self._write] * helpers)
        threads = cpu_threads()
        networks = _started([partial(self._enlarge, engines, threads // len(self._crew)) for engines in self._crew])
        try:
            while not self._idle():
                try:
                    outcome = self._outcomes.get(timeout=_POLL)
                except queue.Empty:
                    continue
                yield outcome
            self._ended.set()
        finally:
            if not self._ended.is_set():
                self._broken_off.set()
            self._ended.set()
            for thread in networks:  # they look after every batch; torch must not be left running
                thread.join()
            take_cpu_threads(threads)
            until = time.monotonic() + _PATIENCE
            for thread in coders:
                thread.join(max(0.0, until - time.monotonic()))

    def _idle(self) -> bool:
        with self._taking:
            return not self._waiting and self._in_hand == 0 and self._outcomes.empty()

    def _read(self) -> None:
        while not self._ended.is_set():
            task = self._take()
            if task is None:
                self._ended.wait(_POLL)
            else:
                self._guarded(task, partial(self._begin, task))

    def _take(self) -> Task | None:
        """Return the next task when there is room for it: in order, so that a large one is not overtaken for ever."""
        with self._taking:
            if not self._waiting or not self._budget.admits(self._waiting[0]):
                return None
            task = self._waiting.popleft()
            self._budget.add(task)
            self._in_hand += 1
            return task

    def _is_done(self, task: Task) -> bool:
        """Tell whether another run has made a result since the plan."""
        made = task.place.outcome(task.source, self._job)
        return made is not None and made.state != "failed" and (made.size, made.mtime_ns) == (task.size, task.mtime_ns)

    def _begin(self, task: Task) -> None:
        if not task.place.claim(task.target) or self._is_done(task):
            self._end(Outcome(task))
            return
        in_steps = task.plan.pages == 1 and task.plan.info.pages == 1
        self._loaded.put(load(task) if in_steps else task)

    def _enlarge(self, engines: Engines, threads: int) -> None:
        take_cpu_threads(max(1, threads))
        held: list[Loaded | Task] = []
        while True:
            item = held.pop() if held else self._next(self._loaded)
            if item is None:
                return
            if self._finishing.is_set():
                self._let_go(item if isinstance(item, Task) else item.task)
            elif isinstance(item, Task):
                self._run_whole(item, engines)
            else:
                group = [item]
                held = self._fill(group, engines)
                self._make(group, engines)

    def _fill(self, group: list[Loaded], engines: Engines) -> list[Loaded | Task]:
        """Add what is ready to a group, as long as it is small and has the same passes; return what is not for it."""
        lineup, passes = group[0].task.plan.lineup, group[0].size.passes
        kind = engines.of(lineup).upscaler(passes[0]).device_name.partition(":")[0]
        room = BATCHES * tiling_for(kind).batch_pixels - _pixels(group[0])
        while room > 0 and len(group) < MOST_FRAMES:
            try:
                item = self._loaded.get_nowait()
            except queue.Empty:
                return []
            if isinstance(item, Task) or not _goes_with(item, group[0]) or _pixels(item) > room:
                return [item]
            group.append(item)
            room -= _pixels(item)
        return []

    def _make(self, group: Sequence[Loaded], engines: Engines) -> None:
        try:
            for made in make(group, engines, self._check_wanted):
                self._computed(made.loaded.task)
                self._made.put(made)
        except BrokenOffError:
            return
        except EsrtError as error:
            if len(group) == 1:
                self._end(Outcome(group[0].task, error=error, in_network=True))
                return
            for loaded in group:  # one of them is to blame; the others are made without it
                self._make([loaded], engines)
        except Exception as error:  # noqa: BLE001 (raised again by whoever takes the outcomes)
            for loaded in group:
                self._end(Outcome(loaded.task, error=error, in_network=True))

    def _run_whole(self, task: Task, engines: Engines) -> None:
        self._guarded(task, lambda: self._end(Outcome(task, run_whole(task, engines, self._job, self._check_wanted))))

    def _write(self) -> None:
        while (made := self._next(self._made)) is not None:
            self._write_one(made)

    def _write_one(self, made: Made) -> None:
        task = made.loaded.task
        self._guarded(task, lambda: self._end(Outcome(task, write(made, self._job, self._check_wanted))))

    def _guarded(self, task: Task, work: Callable[[], None]) -> None:
        """Do a part of a task; what goes wrong ends the task, not the thread."""
        try:
            work()
        except BrokenOffError:
            return
        except Exception as error:  # noqa: BLE001 (one bad file never stops the rest; the error is reported)
            self._end(Outcome(task, error=error))

    def _next(self, waiting: "queue.Queue[Item]") -> Item | None:
        """Wait for an item; None when there will be no more."""
        while not self._ended.is_set():
            try:
                return waiting.get(timeout=_POLL)
            except queue.Empty:
                continue
        return None

    def _check_wanted(self) -> None:
        if self._broken_off.is_set():
            raise BrokenOffError

    def _end(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)
        self._let_go(outcome.task)

    def _let_go(self, task: Task) -> None:
        task.place.release(task.target)
        with self._taking:
            self._budget.remove(task)
            self._in_hand -= 1


def _goes_with(one: Loaded, other: Loaded) -> bool:
    return (one.task.plan.lineup.first, one.size.passes) == (other.task.plan.lineup.first, other.size.passes)


def _pixels(loaded: Loaded) -> int:
    return loaded.frame.width * loaded.frame.height


def _started(works: Sequence[Callable[[], None]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads
