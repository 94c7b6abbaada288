"""Run the plan of a folder: results are recorded as they appear, and one bad file never stops the rest."""

import errno
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from esrt_core.errors import DeviceError, EsrtError, MediaError, TargetError
from esrt_core.files import display_name
from esrt_core.pipeline.batch.faults import FAULT_LOG, IN_A_ROW, FaultCounter, fault_of, is_lost_device, reason_of
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.outputs import OutputFolder, limits_text
from esrt_core.pipeline.batch.plan import Failure, FolderPlan, Task, plan_folder
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


def stops_run(error: Exception, task: Task) -> bool:
    """Return whether an error would affect every picture: a full disk, a disconnected drive, a device."""
    if isinstance(error, MediaError):
        return not is_reachable(task.source.parent)
    system = error if isinstance(error, OSError) else error.__cause__
    if isinstance(error, OSError | TargetError):
        return not task.folder.is_reachable() or (isinstance(system, OSError) and system.errno in STOPPING)
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
    folders = {id(task.folder): task.folder for task in plan.tasks} | {id(folder): folder for folder, _ in plan.to_note}
    targets = _targets(plan)
    folders |= {id(folder): folder for folder, own in targets if folder.leftovers(own)}
    result = FolderResult()
    try:
        for folder in folders.values():
            folder.open(plan.job)
        result.leftovers = sum(folder.remove_leftovers(own) for folder, own in targets)
        for folder, entry in plan.to_note:
            folder.note(entry)
        _run(plan, workers, on_end, stop, result)
    finally:
        for folder in folders.values():
            folder.close()
    return result


def _run(
    plan: FolderPlan,
    workers: Sequence[UpscalerPool],
    on_end: Callable[[Ended], None],
    stop: StopRequest,
    result: FolderResult,
) -> None:
    if not plan.tasks:
        return
    throughput = Throughput(plan.tasks, workers[0])
    faults = FaultCounter(append_fault)
    result.fault_logs = faults.logs
    pipeline = BatchPipeline(plan.tasks, workers, plan.job, throughput.compute)
    ended = 0
    with closing(pipeline.run()) as outcomes:
        for outcome in outcomes:
            ended += 1
            report = _count(outcome, plan, throughput, result, faults)
            if report is not None:
                result.status = report.status
                on_end(report)
            if stop.requested or result.stopped is not None:
                pipeline.finish()
    result.remaining += len(plan.tasks) - ended


def _count(
    outcome: Outcome, plan: FolderPlan, throughput: Throughput, result: FolderResult, faults: FaultCounter
) -> Ended | None:
    """Count an outcome and record a failure in the manifest; return None if there is nothing to report."""
    task, error = outcome.task, outcome.error
    if error is None:
        faults.add(None, "", "")
        result.done += outcome.result is not None
        result.done_elsewhere += outcome.result is None
        status = throughput.end(task, failed=False)
        return Ended(task, status, outcome.result) if outcome.result is not None else None
    failure = Failure(task.source, reason_of(error, display_name(task.source)))
    try:
        if not stops_run(error, task):
            too_many = faults.add(fault_of(error), str(failure.source), str(task.folder.root))
            _note_failure(failure, error, task, plan)
            if too_many:
                error.add_note(f"{IN_A_ROW} pictures in a row failed like this; the last was {failure.source}")
                raise error
            result.failures.append(failure)
            return Ended(task, throughput.end(task, failed=True), failure=failure)
    except TargetError as unwritten:  # the manifest's disk is full or gone
        error = unwritten
    result.stopped = result.stopped or (error if isinstance(error, EsrtError) else TargetError(failure.reason))
    result.remaining += 1
    return None


def append_fault(folder: str, text: str) -> str:
    """Append a traceback to the file for them in a folder of results, and return the file's name.

    Raises: TargetError if the file system refuses.
    """
    path = Path(folder, FAULT_LOG)
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")
    except OSError as error:
        raise TargetError(f"{display_name(path)} cannot be written: {error.strerror}") from error
    return str(path)


def _note_failure(failure: Failure, error: Exception, task: Task, plan: FolderPlan) -> None:
    """Record a failure in the manifest unless the cause is the target or a source that is gone."""
    if isinstance(error, TargetError) or not is_reachable(task.source):
        return
    entry = task.entry("failed", plan.job)
    task.folder.note(replace(entry, target="", error=failure.reason, limits=limits_text(plan.options.upscale.limits)))


def _targets(plan: FolderPlan) -> list[tuple[OutputFolder, list[Path]]]:
    """Return all targets by folder, finished ones too: a run that died while renaming left their temporary files."""
    by_folder: dict[int, tuple[OutputFolder, list[Path]]] = {}
    results = [(task.folder, path) for task in plan.tasks for path in (task.target, task.plan.target.sheet) if path]
    for folder, target in (*plan.kept, *results):
        by_folder.setdefault(id(folder), (folder, []))[1].append(target)
    return list(by_folder.values())
