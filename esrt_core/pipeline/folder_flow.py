"""Pictures in flow: some threads read ahead, one a device enlarges, some write behind; memory is bounded."""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from esrt_core.engine.device import cpu_threads, take_cpu_threads
from esrt_core.engine.groups import BATCHES, MOST_FRAMES
from esrt_core.engine.plan import tiling_for
from esrt_core.errors import EsrtError
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_budget import Budget
from esrt_core.pipeline.folder_job import FolderJob
from esrt_core.pipeline.folder_plan import Task
from esrt_core.pipeline.folder_stages import Loaded, Made, load, make, run_whole, write
from esrt_core.pipeline.upscale import Result

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
