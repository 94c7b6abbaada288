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
from esrt_core.pipeline.batch.outputs import JobKey, OutputFolder
from esrt_core.pipeline.batch.plan import FolderPlan, Task
from esrt_core.pipeline.enlarge import Enlarged, enlarge_group, finished, prepared
from esrt_core.pipeline.image.run import Result, make_result, upscale_picture, write_pages, write_sheet
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.selection import ModelChain, UpscalerPool

MAX_IN_FLIGHT_BYTES = 512 * 2**20  # of decoded pixels, before and after; a larger picture is in hand by itself
MAX_IN_FLIGHT = 48  # pictures


class Budget:
    """Count what the pictures in hand take."""

    def __init__(self) -> None:
        self._pictures = 0
        self._bytes = 0

    def admits(self, task: Task) -> bool:
        """Tell whether there is room for a task; there always is when nothing is in hand."""
        fits = self._pictures < MAX_IN_FLIGHT and self._bytes + in_flight_bytes(task) <= MAX_IN_FLIGHT_BYTES
        return fits or self._pictures == 0

    def add(self, task: Task) -> None:
        """Take a task in hand."""
        self._pictures += 1
        self._bytes += in_flight_bytes(task)

    def remove(self, task: Task) -> None:
        """Let go of a task."""
        self._pictures -= 1
        self._bytes -= in_flight_bytes(task)


def in_flight_bytes(task: Task) -> int:
    """Return about what a picture's frames take: of one page, before and after, and once more while it is encoded."""
    info, size = task.plan.info, task.plan.size
    pixels = info.width * info.height + 2 * size.width * size.height
    return pixels * (4 if info.has_alpha else 3) * (info.depth // 8)


LARGEST = 1 / 8  # of the px of a folder in one picture; were it the last one, half of the threads would have to do it


def make_workers(plan: FolderPlan) -> list[UpscalerPool]:
    """Return engines for every device of a plan that has work, with the tile that an earlier run shrank to.

    Two for a CPU alone, each with half of its threads, where no picture is a large part of the work: all threads take
    longer for one picture than half of them for two. Raise WeightsError or DeviceError where they cannot be used.
    """
    options = plan.options.upscale
    chains = {(task.plan.chain, task.plan.size.passes) for task in plan.tasks}
    chain, passes = plan.tasks[0].plan.chain, plan.tasks[0].plan.size.passes
    workers: list[UpscalerPool] = []
    devices = _doubled(named_devices(plan.options.devices), options.engine.threads, plan.tasks)
    threads = None if options.engine.threads is None else max(1, options.engine.threads // len(devices))
    for device in devices:
        pool = _ready(UpscalerPool(options.model, replace(options.engine, device=device, threads=threads)), chains)
        kind = pool.for_chain(chain).upscaler(passes[0]).device_name.partition(":")[0]
        tile = _earlier_tile(plan.folders.values(), plan.job, kind)
        if tile is not None:
            smaller: EngineOptions = replace(pool.options, tile=tile)
            pool = _ready(UpscalerPool(options.model, smaller), chains)
        workers.append(pool)
    return workers


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


def _ready(pool: UpscalerPool, chains: Iterable[tuple[ModelChain, tuple[int, ...]]]) -> UpscalerPool:
    for chain, passes in chains:
        pool.for_chain(chain).load(passes)
    return pool


def _earlier_tile(folders: Iterable[OutputFolder], job: JobKey, kind: str) -> int | None:
    """Return the smallest tile that an earlier run went on with on a kind of device after memory ran out."""
    tiles = [tile for folder in folders if (tile := folder.manifest.smaller_tile.get((job.id, kind))) is not None]
    return min(tiles, default=None)


CheckCancelled = Callable[[], None]


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
class Upscaled:
    """Hold what the network made of a loaded picture, on which engines, and the seconds of both stages."""

    loaded: Loaded
    enlarged: Enlarged
    pool: UpscalerPool
    seconds: float


def load(task: Task) -> Loaded:
    """Decode a picture of one page. Raise what decode() raises."""
    started = time.perf_counter()
    picture = decode(task.plan.source.source, task.plan.options.limits)
    page = next(iter(picture.pages))
    size = task.plan.size_of_page(page.frame.width, page.frame.height)
    frame = prepared(page.frame, size)
    return Loaded(task, picture, page, size, frame, time.perf_counter() - started)


def upscale_group(group: Sequence[Loaded], pool: UpscalerPool, check_cancelled: CheckCancelled) -> list[Upscaled]:
    """Take pictures with the same line-up and passes through the network together."""
    started = time.perf_counter()
    pool = pool.for_chain(group[0].task.plan.chain)
    frames = [loaded.frame for loaded in group]
    enlarged = enlarge_group(frames, group[0].size.passes, pool, _watch(check_cancelled))
    seconds = (time.perf_counter() - started) / len(group)
    return [
        Upscaled(loaded, each, pool, loaded.seconds + seconds) for loaded, each in zip(group, enlarged, strict=True)
    ]


def write(upscaled: Upscaled, job: JobKey, check_cancelled: CheckCancelled) -> Result:
    """Write a result under its name, and note it in the manifest."""
    started = time.perf_counter()
    loaded, task = upscaled.loaded, upscaled.loaded.task
    plan, page = task.plan, loaded.page
    enlarged = finished(upscaled.enlarged, loaded.size, page.frame.depth)
    recorder = ManifestRecorder(task, job, check_cancelled)
    task.folder.check_reachable()
    larger = Page(enlarged.frame, page.duration_ms, page.value_range, page.notes)
    lost = write_pages(plan, task.target, [larger], loaded.picture.metadata, recorder)
    sheet = write_sheet(plan, page.frame, enlarged.frame, upscaled.pool.model) if plan.options.compare else None
    notes = (*plan.notes, *loaded.picture.info.notes, *loaded.picture.notes, *page.notes, *enlarged.notes, *lost)
    seconds = upscaled.seconds + time.perf_counter() - started
    tiles = (enlarged.tile, enlarged.computed, enlarged.reused)
    result = make_result(plan, upscaled.pool, tiles, notes, seconds, sheet)
    recorder.done(result, upscaled.pool)
    return result


def run_whole(task: Task, pool: UpscalerPool, job: JobKey, check_cancelled: CheckCancelled) -> Result:
    """Take a picture of several pages from file to file, page by page."""
    recorder = ManifestRecorder(task, job, check_cancelled)
    task.folder.check_reachable()
    result = upscale_picture(task.plan, pool, _watch(check_cancelled), before_publish=recorder)
    recorder.done(result, pool.for_chain(task.plan.chain))
    return result


class ManifestRecorder:
    """Note a result in the manifest: "writing" when it is complete, "done" when it has its name."""

    def __init__(self, task: Task, job: JobKey, check_cancelled: CheckCancelled) -> None:
        self._task = task
        self._job = job
        self._check_cancelled = check_cancelled
        self._size = 0
        self._sha256 = ""

    def __call__(self, complete: Path) -> None:
        """Note that a complete file is about to get its name."""
        self._check_cancelled()
        self._size, self._sha256 = complete.stat().st_size, digest(complete)
        self._task.folder.note(self._entry("writing"))

    def done(self, result: Result, pool: UpscalerPool) -> None:
        """Note that it has it; a tile that is not the usual one is used again when the work goes on."""
        kind = result.device.partition(":")[0]
        usual = result.tile == make_plan(8, 8, pool.scales[0], kind, self._job.options["tile"]).tile
        self._task.folder.note(self._entry("done", None if usual else result.tile, None if usual else kind))

    def _entry(self, state: str, tile: int | None = None, device: str | None = None) -> Entry:
        entry = self._task.entry(state, self._job)
        return replace(entry, target_size=self._size, sha256=self._sha256, tile=tile, device=device)


def _watch(check_cancelled: CheckCancelled) -> ProgressCallback:
    def watch(report: Progress) -> None:
        check_cancelled()

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


class RunCancelledError(Exception):
    """Unwind a thread when the work is broken off."""


class BatchPipeline:
    """Take tasks through the three stages.

    `workers` has the engines of every device, which share the threads of the CPU; `computed` is told, in the engines'
    threads, of every task that a network has done.
    """

    def __init__(
        self, tasks: Sequence[Task], workers: Sequence[UpscalerPool], job: JobKey, computed: Callable[[Task], None]
    ) -> None:
        self._workers = workers
        self._job = job
        self._computed = computed
        self._waiting = deque(tasks)
        self._taking = threading.Lock()
        self._budget = Budget()
        self._loaded: queue.Queue[Loaded | Task] = queue.Queue()
        self._upscaled: queue.Queue[Upscaled] = queue.Queue()
        self._outcomes: queue.Queue[Outcome] = queue.Queue()
        self._in_flight = 0
        self._finishing = threading.Event()
        self._cancelled = threading.Event()
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
        networks = _started([partial(self._enlarge, pool, threads // len(self._workers)) for pool in self._workers])
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
                self._cancelled.set()
            self._ended.set()
            for thread in networks:  # they look after every batch; torch must not be left running
                thread.join()
            take_cpu_threads(threads)
            until = time.monotonic() + _PATIENCE
            for thread in coders:
                thread.join(max(0.0, until - time.monotonic()))

    def _idle(self) -> bool:
        with self._taking:
            return not self._waiting and self._in_flight == 0 and self._outcomes.empty()

    def _read(self) -> None:
        while not self._ended.is_set():
            task = self._take()
            if task is None:
                self._ended.wait(_POLL)
            else:
                self._guarded(task, partial(self._load, task))

    def _take(self) -> Task | None:
        """Return the next task when there is room for it: in order, so that a large one is not overtaken for ever."""
        with self._taking:
            if not self._waiting or not self._budget.admits(self._waiting[0]):
                return None
            task = self._waiting.popleft()
            self._budget.add(task)
            self._in_flight += 1
            return task

    def _is_done(self, task: Task) -> bool:
        """Tell whether another run has made a result since the plan."""
        upscaled = task.folder.outcome(task.source, self._job)
        return (
            upscaled is not None
            and upscaled.state != "failed"
            and (upscaled.size, upscaled.mtime_ns) == (task.size, task.mtime_ns)
        )

    def _load(self, task: Task) -> None:
        if not task.folder.claim(task.target) or self._is_done(task):
            self._end(Outcome(task))
            return
        in_steps = task.plan.pages == 1 and task.plan.info.pages == 1
        self._loaded.put(load(task) if in_steps else task)

    def _enlarge(self, pool: UpscalerPool, threads: int) -> None:
        take_cpu_threads(max(1, threads))
        held: list[Loaded | Task] = []
        while True:
            item = held.pop() if held else self._next(self._loaded)
            if item is None:
                return
            if self._finishing.is_set():
                self._release(item if isinstance(item, Task) else item.task)
            elif isinstance(item, Task):
                self._run_whole(item, pool)
            else:
                group = [item]
                held = self._fill(group, pool)
                self._upscale_group(group, pool)

    def _fill(self, group: list[Loaded], pool: UpscalerPool) -> list[Loaded | Task]:
        """Add what is ready to a group, as long as it is small and has the same passes; return what is not for it."""
        chain, passes = group[0].task.plan.chain, group[0].size.passes
        kind = pool.for_chain(chain).upscaler(passes[0]).device_name.partition(":")[0]
        room = BATCHES * tiling_for(kind).batch_pixels - _pixels(group[0])
        while room > 0 and len(group) < MOST_FRAMES:
            try:
                item = self._loaded.get_nowait()
            except queue.Empty:
                return []
            if isinstance(item, Task) or not _can_share_batch(item, group[0]) or _pixels(item) > room:
                return [item]
            group.append(item)
            room -= _pixels(item)
        return []

    def _upscale_group(self, group: Sequence[Loaded], pool: UpscalerPool) -> None:
        try:
            for upscaled in upscale_group(group, pool, self._check_cancelled):
                self._computed(upscaled.loaded.task)
                self._upscaled.put(upscaled)
        except RunCancelledError:
            return
        except EsrtError as error:
            if len(group) == 1:
                self._end(Outcome(group[0].task, error=error, in_network=True))
                return
            for loaded in group:  # one of them is to blame; the others are made without it
                self._upscale_group([loaded], pool)
        except Exception as error:  # noqa: BLE001 (raised again by whoever takes the outcomes)
            for loaded in group:
                self._end(Outcome(loaded.task, error=error, in_network=True))

    def _run_whole(self, task: Task, pool: UpscalerPool) -> None:
        self._guarded(task, lambda: self._end(Outcome(task, run_whole(task, pool, self._job, self._check_cancelled))))

    def _write(self) -> None:
        while (upscaled := self._next(self._upscaled)) is not None:
            self._write_one(upscaled)

    def _write_one(self, upscaled: Upscaled) -> None:
        task = upscaled.loaded.task
        self._guarded(task, lambda: self._end(Outcome(task, write(upscaled, self._job, self._check_cancelled))))

    def _guarded(self, task: Task, work: Callable[[], None]) -> None:
        """Do a part of a task; what goes wrong ends the task, not the thread."""
        try:
            work()
        except RunCancelledError:
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

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise RunCancelledError

    def _end(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)
        self._release(outcome.task)

    def _release(self, task: Task) -> None:
        task.folder.release(task.target)
        with self._taking:
            self._budget.remove(task)
            self._in_flight -= 1


def _can_share_batch(one: Loaded, other: Loaded) -> bool:
    return (one.task.plan.chain.first, one.size.passes) == (other.task.plan.chain.first, other.size.passes)


def _pixels(loaded: Loaded) -> int:
    return loaded.frame.width * loaded.frame.height


def _started(works: Sequence[Callable[[], None]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads
