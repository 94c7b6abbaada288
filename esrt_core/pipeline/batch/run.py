"""What an error says about a picture, and whether it concerns all of them.

Carry out the plan of many pictures: nothing is lost, and one bad file never stops the rest.
"""

import errno
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from esrt_core.errors import DeviceError, EsrtError, MediaError, TargetError
from esrt_core.pipeline.batch.outputs import OutputFolder, limits_text
from esrt_core.pipeline.batch.plan import Failure, FolderPlan, Task
from esrt_core.pipeline.batch.throughput import Planned, Status, Throughput
from esrt_core.pipeline.batch.workers import BatchPipeline, Outcome
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
    """Tell whether an error concerns every picture: a full disk, a drive that went away, a device."""
    if isinstance(error, MediaError):
        return not is_reachable(task.source.parent)
    system = error if isinstance(error, OSError) else error.__cause__
    if isinstance(error, OSError | TargetError):
        return not task.place.is_reachable() or (isinstance(system, OSError) and system.errno in STOPPING)
    return isinstance(error, DeviceError)


def reason_of(error: Exception) -> str:
    """Say why a picture failed, on one line."""
    if isinstance(error, EsrtError):
        return str(error)
    if isinstance(error, MemoryError):
        return "memory ran out; a smaller size needs less"
    return f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


def is_reachable(path: Path) -> bool:
    """Tell whether a path can be looked at; unlike Path.exists(), also where a drive that went away answers EIO."""
    try:
        path.stat()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Ended:
    """Report one picture: its result or its failure, and how far the work is then."""

    task: Planned
    status: Status
    result: Result | None = None
    failure: Failure | None = None


@dataclass
class FolderResult:
    """Sum up a run.

    elsewhere   pictures that another run did, or has in hand.
    failures    those of this run; `left` counts pictures that were not begun.
    stopped     why the run ended early, where no picture is to blame.
    leftovers   temporary files of dead runs that were removed.
    """

    done: int = 0
    done_elsewhere: int = 0
    left: int = 0
    leftovers: int = 0
    failures: list[Failure] = field(default_factory=list)
    stopped: EsrtError | None = None
    status: Status | None = None


class StopRequest:
    """Ask a run to end after the pictures in hand."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """Let nothing new begin."""
        self.requested = True


def run_folder(
    plan: FolderPlan, workers: Sequence[UpscalerPool], on_end: Callable[[Ended], None], stop: StopRequest
) -> FolderResult:
    """Make all results of a plan; `on_end` is told of every picture that ends.

    Raise TargetError where a folder of results cannot be written at all. An error that is none of the user's, such as
    a device that is lost, comes out as it is.
    """
    places = {id(task.place): task.place for task in plan.tasks} | {id(place): place for place, _ in plan.to_note}
    targets = _targets(plan)
    places |= {id(place): place for place, own in targets if place.leftovers(own)}
    result = FolderResult()
    try:
        for place in places.values():
            place.open(plan.job)
        result.leftovers = sum(place.remove_leftovers(own) for place, own in targets)
        for place, entry in plan.to_note:
            place.note(entry)
        _run(plan, workers, on_end, stop, result)
    finally:
        for place in places.values():
            place.close()
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
    pipeline = BatchPipeline(plan.tasks, workers, plan.job, throughput.compute)
    ended = 0
    with closing(pipeline.run()) as outcomes:
        for outcome in outcomes:
            ended += 1
            report = _settle(outcome, plan, throughput, result)
            if report is not None:
                result.status = report.status
                on_end(report)
            if stop.requested or result.stopped is not None:
                pipeline.finish()
    result.left += len(plan.tasks) - ended


def _settle(outcome: Outcome, plan: FolderPlan, throughput: Throughput, result: FolderResult) -> Ended | None:
    """Count an outcome, and note a failure in the manifest; None where nobody needs to hear of it."""
    task, error = outcome.task, outcome.error
    if error is None:
        result.done += outcome.result is not None
        result.done_elsewhere += outcome.result is None
        status = throughput.end(task, failed=False)
        return Ended(task, status, outcome.result) if outcome.result is not None else None
    if outcome.in_network and not isinstance(error, EsrtError | MemoryError):
        raise error
    failure = Failure(task.source, reason_of(error))
    try:
        if not stops_run(error, task):
            _note_failure(failure, error, task, plan)
            result.failures.append(failure)
            return Ended(task, throughput.end(task, failed=True), failure=failure)
    except TargetError as unwritten:  # the manifest: its disk is full or gone
        error = unwritten
    result.stopped = result.stopped or (error if isinstance(error, EsrtError) else TargetError(failure.reason))
    result.left += 1
    return None


def _note_failure(failure: Failure, error: Exception, task: Task, plan: FolderPlan) -> None:
    """Let the manifest remember a failure that lies in the picture's file."""
    if isinstance(error, TargetError) or not is_reachable(task.source):
        return
    entry = task.entry("failed", plan.job)
    task.place.note(replace(entry, target="", error=failure.reason, limits=limits_text(plan.options.upscale.limits)))


def _targets(plan: FolderPlan) -> list[tuple[OutputFolder, list[Path]]]:
    """Return all results by their folder: a run that died while it named one left a temporary file of that one too."""
    by_place: dict[int, tuple[OutputFolder, list[Path]]] = {}
    results = [(task.place, path) for task in plan.tasks for path in (task.target, task.plan.target.sheet) if path]
    for place, target in (*plan.kept, *results):
        by_place.setdefault(id(place), (place, []))[1].append(target)
    return list(by_place.values())
