"""Threads that run a folder's tasks: some load ahead, one per device enlarges, some write behind; memory is bounded.

The steps are those of a single picture. Small pictures with the same passes go through the network in groups; a file
with several pages is streamed by the device's thread alone.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from esrt_core.engine.batching import BATCHES, MOST_FRAMES
from esrt_core.engine.plan import make_plan, tiling_for
from esrt_core.engine.threads import cpu_threads, take_cpu_threads
from esrt_core.pipeline.batch.manifest import Entry, digest
from esrt_core.pipeline.batch.outputs import JobKey, OutputFolder
from esrt_core.pipeline.batch.plan import FolderPlan, Task, entry_of
from esrt_core.pipeline.batch.sources import Root
from esrt_core.pipeline.enlarge import enlarge_frames, finish
from esrt_core.pipeline.image.plan import UpscalePlan
from esrt_core.pipeline.image.run import Loaded, LoadedPage, Result, load, upscale_picture, write
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.selection import UpscalerPool

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaled

MAX_IN_FLIGHT_BYTES = 512 * 2**20  # of decoded pixels, before and after; a larger picture is in flight alone
MAX_IN_FLIGHT = 48  # pictures
MOST_HELD = 8  # of other weights or passes, while a group is filled; another device may wait for them
CheckCancelled = Callable[[], None]
Item = TypeVar("Item")
_POLL = 0.2  # seconds between two checks of a waiting thread whether it should end
_CANCEL_SECONDS = 5.0  # that reading and writing may still take after a cancellation


class Budget:
    """Count the memory of the pictures in flight."""

    def __init__(self) -> None:
        self._pictures = 0
        self._bytes = 0

    def admits(self, task: Task) -> bool:
        """Return whether there is room for a task; there always is if nothing is in flight."""
        fits = self._pictures < MAX_IN_FLIGHT and self._bytes + in_flight_bytes(task) <= MAX_IN_FLIGHT_BYTES
        return fits or self._pictures == 0

    def add(self, task: Task) -> None:
        """Count a task that starts."""
        self._pictures += 1
        self._bytes += in_flight_bytes(task)

    def remove(self, task: Task) -> None:
        """Count a task that ended."""
        self._pictures -= 1
        self._bytes -= in_flight_bytes(task)


def in_flight_bytes(task: Task) -> int:
    """Estimate the bytes of a picture's frames: one page before and after, and once more during encoding."""
    info, size = task.plan.info, task.plan.size
    pixels = info.width * info.height + 2 * size.width * size.height
    return pixels * (4 if info.has_alpha else 3) * (info.depth // 8)


@dataclass(frozen=True)
class LoadedTask:
    """Hold a task whose picture has one page and is decoded."""

    task: Task
    loaded: Loaded
    page: LoadedPage

    @property
    def pixels(self) -> int:
        """Source px of the page."""
        return self.page.frame.width * self.page.frame.height

    @property
    def batch_key(self) -> tuple[str, tuple[int, ...]]:
        """What tasks must have in common to share batches: the weights and the passes."""
        return self.loaded.plan.chain.first, self.page.size.passes


def load_task(task: Task) -> LoadedTask:
    """Decode the one page of a task's picture."""
    loaded = load(task.plan)
    (page,) = loaded.pages
    return LoadedTask(task, loaded, page)


def enlarge_group(
    group: Sequence[LoadedTask], pool: UpscalerPool, check_cancelled: CheckCancelled
) -> list[tuple[LoadedTask, Upscaled]]:
    """Take tasks with the same weights and passes through the network together."""
    started = time.perf_counter()
    pool = pool.for_chain(group[0].loaded.plan.chain)
    frames = [item.page.frame for item in group]
    upscaled = enlarge_frames(frames, group[0].page.size.passes, pool, _watch(check_cancelled))
    seconds = (time.perf_counter() - started) / len(group)
    timed = [replace(item, loaded=replace(item.loaded, seconds=item.loaded.seconds + seconds)) for item in group]
    return list(zip(timed, upscaled, strict=True))


def write_task(item: LoadedTask, upscaled: Upscaled, pool: UpscalerPool, recorder: ManifestRecorder) -> Result:
    """Write an enlarged task to its target and record it in the manifest."""
    started = time.perf_counter()
    recorder.check_reachable()
    upscaled = finish(upscaled, item.page.size, item.page.page.frame.depth)
    seconds = item.loaded.seconds + time.perf_counter() - started
    loaded = replace(item.loaded, plan=recorder.within_root(item.loaded.plan))
    result = write(loaded, [(item.page, upscaled)], pool, seconds, before_publish=recorder)
    recorder.done(result, pool.for_chain(item.loaded.plan.chain))
    return result


def stream_task(task: Task, pool: UpscalerPool, recorder: ManifestRecorder) -> Result:
    """Upscale a picture with several pages from file to file, page by page, and record it in the manifest."""
    recorder.check_reachable()
    plan = recorder.within_root(task.plan)
    result = upscale_picture(plan, pool, _watch(recorder.check_cancelled), before_publish=recorder)
    recorder.done(result, pool.for_chain(task.plan.chain))
    return result


class ManifestRecorder:
    """Record a result in the manifest: "writing" when its file is complete, "done" when it has its name."""

    def __init__(self, task: Task, folder: OutputFolder, job: JobKey, check_cancelled: CheckCancelled) -> None:
        self._task = task
        self._folder = folder
        self._job = job
        self.check_reachable = folder.check_reachable
        self.check_cancelled = check_cancelled
        self._size = 0
        self._sha256 = ""

    def within_root(self, plan: UpscalePlan) -> UpscalePlan:
        """Return a plan that never creates the folder of results anew, which exists as long as its drive does."""
        return replace(plan, root=self._folder.root)

    def __call__(self, complete: Path) -> None:
        """Record that a complete file is about to get its name."""
        self.check_cancelled()
        self._size, self._sha256 = complete.stat().st_size, digest(complete)
        self._folder.note(self._entry("writing"))

    def done(self, result: Result, pool: UpscalerPool) -> None:
        """Record that the file has its name; a tile smaller than usual is recorded for a run that resumes."""
        kind = result.device.partition(":")[0]
        is_usual = result.tile == make_plan(8, 8, pool.scales[0], kind, self._job.options["tile"]).tile
        done = replace(self._entry("done"), model=result.model)
        self._folder.note(done if is_usual else replace(done, tile=result.tile, device=kind))

    def _entry(self, state: str) -> Entry:
        entry = entry_of(self._task, state, self._job, self._folder.manifest)
        return replace(entry, target_size=self._size, sha256=self._sha256)


def _watch(check_cancelled: CheckCancelled) -> ProgressCallback:
    def watch(report: Progress) -> None:
        check_cancelled()

    return watch


@dataclass(frozen=True)
class Outcome:
    """Report the end of a task: a result, an error, or neither if another run has the task."""

    task: Task
    result: Result | None = None
    error: Exception | None = None


class RunCancelledError(Exception):
    """Unwind a thread after a cancellation."""


class BatchPipeline:
    """Load, enlarge and write the tasks of a plan in threads; `folders` are those of their results, opened.

    `workers` has a pool per device thread; they share the threads of the CPU. `on_computed` is called in those threads
    for every task that has left the network.
    """

    def __init__(
        self,
        plan: FolderPlan,
        folders: Mapping[Root, OutputFolder],
        workers: Sequence[UpscalerPool],
        on_computed: Callable[[Task], None],
    ) -> None:
        self._folders = folders
        self._workers = workers
        self._job = plan.job
        self._on_computed = on_computed
        self._waiting = deque(plan.tasks)
        self._lock = threading.Lock()
        self._budget = Budget()
        self._loaded: queue.Queue[LoadedTask | Task] = queue.Queue()
        self._enlarged: queue.Queue[tuple[LoadedTask, Upscaled, UpscalerPool]] = queue.Queue()
        self._outcomes: queue.Queue[Outcome] = queue.Queue()
        self._in_flight = 0
        self._finishing = threading.Event()
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        self._faults: list[Exception] = []  # that ended a thread, which would leave the others waiting

    def finish(self) -> None:
        """Start no more tasks in the network; finish those that are in it or behind it."""
        self._finishing.set()
        with self._lock:
            self._waiting.clear()

    def run(self) -> Generator[Outcome]:
        """Yield the outcomes of tasks as they end. Closing the iterator early cancels the work."""
        helpers = max(2, min(8, (os.cpu_count() or 2) // 2))
        coders = self._started([self._load_tasks] * helpers + [self._write_tasks] * helpers)
        share = max(1, cpu_threads() // len(self._workers))
        networks = self._started([partial(self._enlarge_tasks, pool, share) for pool in self._workers])
        try:
            while not self._idle():
                if self._faults:
                    raise self._faults[0]
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
            for thread in networks:  # they check after every batch; the network must not be left running
                thread.join()
            until = time.monotonic() + _CANCEL_SECONDS
            for thread in coders:
                thread.join(max(0.0, until - time.monotonic()))

    def _idle(self) -> bool:
        with self._lock:
            return not self._waiting and self._in_flight == 0 and self._outcomes.empty()

    def _load_tasks(self) -> None:
        while not self._ended.is_set():
            task = self._next_task()
            if task is None:
                self._ended.wait(_POLL)
            else:
                self._guarded(task, partial(self._load, task))

    def _next_task(self) -> Task | None:
        """Return the next task if there is room for it; in order, so that a large one is not passed forever."""
        with self._lock:
            if not self._waiting or not self._budget.admits(self._waiting[0]):
                return None
            task = self._waiting.popleft()
            self._budget.add(task)
            self._in_flight += 1
            return task

    def _is_done(self, task: Task) -> bool:
        """Return whether another run has finished a task since it was planned."""
        entry = self._folders[task.picture.root].outcome(task.picture.location, self._job)
        return entry is not None and entry.state != "failed" and entry.is_of(task.picture.item.stamp)

    def _load(self, task: Task) -> None:
        if not self._folders[task.picture.root].claim(task.key) or self._is_done(task):
            self._end(Outcome(task))
            return
        self._loaded.put(load_task(task) if task.plan.pages == 1 else task)

    def _enlarge_tasks(self, pool: UpscalerPool, threads: int) -> None:
        take_cpu_threads(threads)
        held: deque[LoadedTask | Task] = deque()
        while True:
            item = held.popleft() if held else self._next(self._loaded)
            if item is None:
                return
            if self._finishing.is_set():
                self._release(item if isinstance(item, Task) else item.task)
            elif isinstance(item, Task):
                self._guarded(item, partial(self._stream, item, pool))
            else:
                group = [item]
                self._fill(group, held, pool)
                for each in self._enlarge(group, pool):  # one of them is the cause: the others succeed without it
                    self._enlarge([each], pool)

    def _fill(self, group: list[LoadedTask], held: deque[LoadedTask | Task], pool: UpscalerPool) -> None:
        """Add tasks to a group while it is small and they take the same weights and passes; hold the others.

        A folder may need several kinds of weights in turn, so that the tasks of one kind do not follow each other.
        Those held come first in the next group.
        """
        first = group[0]
        upscaler = pool.for_chain(first.loaded.plan.chain).upscaler(first.page.size.passes[0])
        kind = upscaler.device_name.partition(":")[0]
        room = BATCHES * tiling_for(kind).batch_pixels - first.pixels
        waiting = deque(held)
        held.clear()
        while room > 0 and len(group) < MOST_FRAMES and len(held) < MOST_HELD:
            item = waiting.popleft() if waiting else self._loaded_now()
            if item is None:
                break
            if isinstance(item, LoadedTask) and item.batch_key == first.batch_key and item.pixels <= room:
                group.append(item)
                room -= item.pixels
            else:
                held.append(item)
        held.extend(waiting)

    def _loaded_now(self) -> LoadedTask | Task | None:
        """Return what is loaded already, without waiting."""
        try:
            return self._loaded.get_nowait()
        except queue.Empty:
            return None

    def _enlarge(self, group: Sequence[LoadedTask], pool: UpscalerPool) -> Sequence[LoadedTask]:
        """Take a group through the network; return the tasks that must be tried one by one because it failed."""
        try:
            for item, upscaled in enlarge_group(group, pool, self._check_cancelled):
                self._on_computed(item.task)
                self._enlarged.put((item, upscaled, pool))
        except RunCancelledError:
            pass
        except Exception as error:  # noqa: BLE001 (whatever one picture does must not end the others)
            if len(group) > 1:
                return group
            self._end(Outcome(group[0].task, error=error))
        return ()

    def _stream(self, task: Task, pool: UpscalerPool) -> None:
        self._end(Outcome(task, stream_task(task, pool, self._recorder(task))))

    def _write_tasks(self) -> None:
        while (enlarged := self._next(self._enlarged)) is not None:
            self._guarded(enlarged[0].task, partial(self._write, *enlarged))

    def _write(self, item: LoadedTask, upscaled: Upscaled, pool: UpscalerPool) -> None:
        self._end(Outcome(item.task, write_task(item, upscaled, pool, self._recorder(item.task))))

    def _recorder(self, task: Task) -> ManifestRecorder:
        return ManifestRecorder(task, self._folders[task.picture.root], self._job, self._check_cancelled)

    def _guarded(self, task: Task, work: Callable[[], None]) -> None:
        """Do one step of a task; an error ends the task, not the thread."""
        try:
            work()
        except RunCancelledError:
            return
        except Exception as error:  # noqa: BLE001 (one bad file never stops the rest; the error is reported)
            self._end(Outcome(task, error=error))

    def _next(self, waiting: queue.Queue[Item]) -> Item | None:
        """Wait for an item; return None at the end of the run."""
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
        self._folders[task.picture.root].release(task.key)
        with self._lock:
            self._budget.remove(task)
            self._in_flight -= 1

    def _started(self, works: Sequence[Callable[[], None]]) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._watched, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        return threads

    def _watched(self, work: Callable[[], None]) -> None:
        """Do the work of a thread; run() raises what ends it before its time."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 (raised again in run())
            self._faults.append(error)
