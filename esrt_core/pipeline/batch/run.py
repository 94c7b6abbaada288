"""Run the plan of a folder: results are recorded as they appear, and one bad file never stops the rest."""

import errno
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from esrt_core.errors import DeviceError, EsrtError, MediaError, TargetError
from esrt_core.files import display_text
from esrt_core.pipeline.batch.faults import (
    IN_A_ROW,
    FaultCounter,
    append_fault,
    fault_of,
    is_lost_device,
    reason_of,
)
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.outputs import OutputFolder, limits_text
from esrt_core.pipeline.batch.plan import Failure, FolderPlan, Task, entry_of, plan_folder
from esrt_core.pipeline.batch.sources import Root
from esrt_core.pipeline.batch.throughput import Planned, Status, Throughput
from esrt_core.pipeline.batch.workers import BatchPipeline, Outcome, make_workers
from esrt_core.pipeline.image.run import Result
from esrt_core.selection import UpscalerPool

STOPPING = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ENODEV,
    errno.ENXIO,
    errno.ESTALE,
    errno.ENOTCONN,
)


def stops_run(error: Exception, source: Path, folder: OutputFolder) -> bool:
    """Return whether an error would affect every picture: a full disk, a disconnected drive, a device."""
    if isinstance(error, MediaError):
        return not is_reachable(source.parent)
    system = error if isinstance(error, OSError) else error.__cause__
    if isinstance(error, OSError | TargetError):
        return not folder.is_reachable() or (isinstance(system, OSError) and system.errno in STOPPING)
    return isinstance(error, DeviceError) or is_lost_device(error)


def is_reachable(path: Path) -> bool:
    """Return whether a path exists; unlike Path.exists(), also if a disconnected drive answers EIO."""
    try:
        path.stat()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Ended:
    """Report one picture: its result or its failure, and the progress after it."""

    task: Planned
    status: Status
    result: Result | None = None
    failure: Failure | None = None


@dataclass
class FolderResult:
    """Sum up a run.

    done_elsewhere  pictures that another run has done or is working on.
    remaining       pictures that were not started.
    leftovers       temporary files of dead runs that were removed.
    failures        those of this run.
    fault_logs      the files with the tracebacks of failures that are faults of this program.
    stopped         why the run ended early if no single picture is the cause.
    """

    done: int = 0
    done_elsewhere: int = 0
    remaining: int = 0
    leftovers: int = 0
    failures: list[Failure] = field(default_factory=list)
    fault_logs: list[str] = field(default_factory=list)
    stopped: EsrtError | None = None
    status: Status | None = None


class StopRequest:
    """Ask a run to end after the pictures in progress."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """Start no more pictures."""
        self.requested = True


class Listener(Protocol):
    """Receive the events of upscale_folder()."""

    def planned(self, plan: FolderPlan, workers: Sequence[UpscalerPool]) -> None:
        """Handle the plan and the loaded networks, before the work."""

    def note(self, text: str) -> None:
        """Handle a note about the weights."""

    def ended(self, ended: Ended) -> None:
        """Handle a picture that ended."""


def upscale_folder(
    options: FolderOptions, listener: Listener, stop: StopRequest | None = None, *, dry_run: bool = False
) -> FolderResult:
    """Plan and upscale the pictures of folders, resuming what an earlier run left; with `dry_run`, only plan them.

    Raises: OptionError if an input or an option is invalid, TargetError if a folder of results cannot be written,
    WeightsError or DeviceError if weights or a device are unusable.
    """
    plan = plan_folder(options, UpscalerPool(options.upscale.model, options.upscale.engine))
    workers = make_workers(plan) if plan.tasks else []
    for note in dict.fromkeys(note for pool in workers for note in pool.notes):
        listener.note(note)
    listener.planned(plan, workers)
    return FolderResult() if dry_run else run_folder(plan, workers, listener.ended, stop or StopRequest())


def run_folder(
    plan: FolderPlan, workers: Sequence[UpscalerPool], on_end: Callable[[Ended], None], stop: StopRequest
) -> FolderResult:
    """Upscale the pictures of a plan; `on_end` is called for every picture that ends.

    Raises: TargetError if a folder of results cannot be written at all; a fault of this program that three pictures in
    a row have run into.
    """
    targets = _targets(plan)
    used = dict.fromkeys([task.picture.root for task in plan.tasks] + [root for root, _ in plan.to_note])
    used |= dict.fromkeys(root for _, _, root in plan.faults)
    folders = {root: OutputFolder(manifest) for root, manifest in plan.logs.items()}
    folders = {root: each for root, each in folders.items() if root in used or each.leftovers(targets[root])}
    result = FolderResult()
    faults = FaultCounter(append_fault)
    result.fault_logs = faults.logs
    try:
        for folder in folders.values():
            folder.open(plan.job)
        result.leftovers = sum(folder.remove_leftovers(targets[root]) for root, folder in folders.items())
        for root, entry in plan.to_note:
            folders[root].note(entry)
        for fault, source, root in plan.faults:
            faults.keep(fault, source, root.name)
        if plan.tasks:
            _run(plan, folders, workers, on_end, stop, result, faults)
    finally:
        for folder in folders.values():
            folder.close()
    return result


def _run(
    plan: FolderPlan,
    folders: Mapping[Root, OutputFolder],
    workers: Sequence[UpscalerPool],
    on_end: Callable[[Ended], None],
    stop: StopRequest,
    result: FolderResult,
    faults: FaultCounter,
) -> None:
    throughput = Throughput(plan.tasks, workers[0])
    pipeline = BatchPipeline(plan, folders, workers, throughput.compute)
    count = _Count(plan, folders, throughput, result, faults)
    ended = 0
    with closing(pipeline.run()) as outcomes:
        for outcome in outcomes:
            ended += 1
            report = count(outcome)
            if report is not None:
                result.status = report.status
                on_end(report)
            if stop.requested or result.stopped is not None:
                pipeline.finish()
    result.remaining += len(plan.tasks) - ended


class _Count:
    """Count the outcomes of tasks, and record failures."""

    def __init__(
        self,
        plan: FolderPlan,
        folders: Mapping[Root, OutputFolder],
        throughput: Throughput,
        result: FolderResult,
        faults: FaultCounter,
    ) -> None:
        self._plan = plan
        self._folders = folders
        self._throughput = throughput
        self._result = result
        self._faults = faults

    def __call__(self, outcome: Outcome) -> Ended | None:
        """Count an outcome; return None if there is nothing to report.

        Raises: a fault of this program that three pictures in a row have run into.
        """
        task, error, result = outcome.task, outcome.error, self._result
        if error is None:
            self._faults.add(None, "", "")
            result.done += outcome.result is not None
            result.done_elsewhere += outcome.result is None
            status = self._throughput.end(task, failed=False)
            return Ended(task, status, outcome.result) if outcome.result is not None else None
        try:
            if not stops_run(error, Path(task.source), self._folders[task.picture.root]):
                return self._failed(task, error)
        except TargetError as unwritten:  # the manifest's disk is full or gone
            error = unwritten
        reason = reason_of(error, display_text(task.picture.name))
        result.stopped = result.stopped or (error if isinstance(error, EsrtError) else TargetError(reason))
        result.remaining += 1
        return None

    def _failed(self, task: Task, error: Exception) -> Ended:
        """Record a failure in the manifest, unless the cause is the target or a source that is gone."""
        root, reason = task.picture.root, reason_of(error, display_text(task.picture.name))
        too_many = self._faults.add(fault_of(error), task.picture.name, root.name)
        if not isinstance(error, TargetError) and is_reachable(Path(task.source)):
            entry = entry_of(task, "failed", self._plan.job, self._plan.logs[root])
            limits = limits_text(self._plan.options.upscale.limits)
            self._folders[root].note(replace(entry, error=reason, limits=limits))
        if too_many:
            error.add_note(f"{IN_A_ROW} pictures in a row failed like this; the last was {task.picture.name}")
            raise error
        failure = Failure(task.source, reason)
        self._result.failures.append(failure)
        return Ended(task, self._throughput.end(task, failed=True), failure=failure)


def _targets(plan: FolderPlan) -> dict[Root, list[Path]]:
    """Return all targets by folder, finished ones too: a run that died while renaming left their temporary files."""
    targets: dict[Root, list[Path]] = {root: [] for root in plan.logs}
    results = [(task.picture.root, key) for task in plan.tasks for key in (task.key, task.sheet)]
    for root, key in (*plan.kept, *results):
        targets[root].append(Path(root.name, key))
    return targets
