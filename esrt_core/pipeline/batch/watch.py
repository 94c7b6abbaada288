"""Watch folders: upscale pictures as they arrive, in one pass after another, until it is stopped.

A picture has arrived when its size and its modification time are the same in two looks, so that a file that is still
being written is left alone. Passes are those of a folder: stopped at any time, the next run resumes.
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from esrt_core.pipeline.batch.manifest import Manifest
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.plan import FolderPlan, check_local, find_pictures, plan_pictures
from esrt_core.pipeline.batch.pools import make_workers, prepare_workers
from esrt_core.pipeline.batch.run import FolderResult, Listener, StopRequest, run_folder
from esrt_core.pipeline.batch.sources import Found, Root
from esrt_core.selection import UpscalerPool

LOOK_SECONDS = 2.0  # between two looks
_POLL = 0.2
Pause = Callable[[], None]


class WatchListener(Listener, Protocol):
    """Receive the events of watch_folder(): those of upscale_folder() for every pass, and its end."""

    def watching(self) -> None:
        """Handle the first look, after which arriving pictures are noticed."""

    def finished(self, result: FolderResult) -> None:
        """Handle the end of a pass."""


def watch_folder(
    options: FolderOptions, listener: WatchListener, stop: StopRequest, pause: Pause | None = None
) -> None:
    """Upscale pictures as they arrive until `stop` is requested, or until an error concerns every picture.

    `pause` waits between two looks.

    Raises: what upscale_folder() raises.
    """
    check_local(options)
    pool = UpscalerPool(options.upscale.model, options.upscale.engine)
    arrivals, workers = _Arrivals(), list[UpscalerPool]()
    pause = pause or (lambda: _pause(stop))
    find_pictures(options, pool)
    listener.watching()
    while not stop.requested:
        plan = arrivals.plan(options, pool)
        if plan is not None:
            if plan.tasks and not workers:
                workers = make_workers(plan)
                for note in dict.fromkeys(note for each in workers for note in each.notes):
                    listener.note(note)
            prepare_workers(workers, plan)
            listener.planned(plan, workers if plan.tasks else [])
            result = run_folder(plan, workers, listener.ended, stop, listener.packed)
            listener.finished(result)
            if result.stopped is not None:
                return
        if not stop.requested:
            pause()


def _pause(stop: StopRequest) -> None:
    until = time.monotonic() + LOOK_SECONDS
    while not stop.requested and time.monotonic() < until:
        time.sleep(_POLL)


class _Arrivals:
    """Tell which pictures have arrived since the last pass."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}  # stamps by location, in the last look
        self._planned: dict[str, str] = {}
        self._unreadable: set[str] = set()  # reported by an earlier pass, as are the skipped
        self._logs: dict[Root, Manifest] = {}
        self._skipped: Counter[str] = Counter()

    def plan(self, options: FolderOptions, pool: UpscalerPool) -> FolderPlan | None:
        """Look once; return the plan of a pass if there is anything new."""
        findings = find_pictures(options, pool)
        all_found = (*findings.pictures, *findings.books)
        arrived = {found.location for found in all_found if self._has_arrived(found)}
        self._seen = {found.location: found.item.stamp for found in all_found}
        findings.unreadable = [each for each in findings.unreadable if str(each[0]) not in self._unreadable]
        if not arrived and not findings.unreadable:
            return None
        self._unreadable.update(str(path) for path, _ in findings.unreadable)
        findings.skipped, self._skipped = findings.skipped - self._skipped, findings.skipped | self._skipped
        plan = plan_pictures(options, pool, findings, self._open_log, lambda found: found.location in arrived)
        self._planned.update((location, self._seen[location]) for location in arrived)
        return plan

    def _has_arrived(self, found: Found) -> bool:
        stamp = found.item.stamp
        return self._seen.get(found.location) == stamp != self._planned.get(found.location)

    def _open_log(self, root: Root) -> Manifest:
        if root not in self._logs or not self._logs[root].path.exists():
            self._logs[root] = Manifest(Path(root.name))
        self._logs[root].refresh()
        return self._logs[root]
