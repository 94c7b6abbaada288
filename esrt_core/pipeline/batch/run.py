"""Run the plan of a folder: results are recorded as they appear, and one bad file never stops the rest."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from esrt_core.errors import DeviceError, EsrtError, MediaError, TargetError
from esrt_core.files import display_text
from esrt_core.pipeline.batch.books import is_book, pack
from esrt_core.pipeline.batch.faults import (
    IN_A_ROW,
    FaultCounter,
    append_fault,
    fault_of,
    is_lost_device,
    is_lost_disk,
    reason_of,
)
from esrt_core.pipeline.batch.manifest import Entry, digest
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.outputs import OutputFolder, limits_text
from esrt_core.pipeline.batch.plan import Book, Failure, FolderPlan, Task, entry_of, plan_folder, work_of
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.sources import Root
from esrt_core.pipeline.batch.throughput import Planned, Status, Throughput
from esrt_core.pipeline.batch.workers import BatchPipeline, Outcome
from esrt_core.pipeline.image.run import Result
from esrt_core.selection import UpscalerPool


def stops_run(error: Exception, source: Path, folder: OutputFolder) -> bool:
    """Return whether an error would affect every picture: a full disk, a disconnected drive, a device."""
    if isinstance(error, MediaError):
        return not is_reachable(source.parent)
    if isinstance(error, OSError | TargetError):
        return not folder.is_reachable() or is_lost_disk(error)
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


@dataclass(frozen=True)
class Packed:
    """Report the archive of the results of a comic archive; `pages` were upscaled."""

    source: Path
    target: Path
    pages: int


class Listener(Protocol):
    """Receive the events of upscale_folder()."""

    def planned(self, plan: FolderPlan, workers: Sequence[UpscalerPool]) -> None:
        """Handle the plan and the loaded networks, before the work."""

    def note(self, text: str) -> None:
        """Handle a note about the weights."""

    def ended(self, ended: Ended) -> None:
        """Handle a picture that ended."""

    def packed(self, packed: Packed) -> None:
        """Handle an archive of results that was written, after its last page."""


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
    if dry_run:
        return FolderResult()
    return run_folder(plan, workers, listener.ended, stop or StopRequest(), listener.packed)


def run_folder(
    plan: FolderPlan,
    workers: Sequence[UpscalerPool],
    on_end: Callable[[Ended], None],
    stop: StopRequest,
    on_pack: Callable[[Packed], None] = lambda packed: None,
) -> FolderResult:
    """Upscale the pictures of a plan; `on_end` is called for every picture that ends, `on_pack` for every archive.

    Raises: TargetError if a folder of results cannot be written at all; a fault of this program that three pictures in
    a row have run into.
    """
    targets = _targets(plan)
    used = dict.fromkeys([task.picture.root for task in plan.tasks] + [root for root, _ in plan.to_note])
    used |= dict.fromkeys(root for _, _, root in plan.faults)
    used |= dict.fromkeys(root for book in plan.books for root in (book.found.root, book.work))
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
        packer = _Packer(plan, folders, result, on_pack)
        if plan.tasks:
            _run(plan, folders, workers, on_end, stop, result, faults, packer)
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
    packer: _Packer,
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
            packer.page_ended(outcome.task)
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
            if outcome.result is None:
                return None
            return Ended(task, status, replace(outcome.result, target=str(task.target)))
        try:
            if not stops_run(error, task.picture.file, self._folders[task.picture.root]):
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
        if not isinstance(error, TargetError) and is_reachable(task.picture.file):
            entry = entry_of(task, "failed", self._plan.job, self._plan.logs[root])
            limits = limits_text(self._plan.options.upscale.limits)
            self._folders[root].note(replace(entry, error=reason, limits=limits))
        if too_many:
            error.add_note(f"{IN_A_ROW} pictures in a row failed like this; the last was {task.picture.name}")
            raise error
        failure = Failure(task.source, reason)
        self._result.failures.append(failure)
        return Ended(task, self._throughput.end(task, failed=True), failure=failure)


class _Packer:
    """Write the archive of results of every comic archive whose last page has ended."""

    def __init__(
        self,
        plan: FolderPlan,
        folders: Mapping[Root, OutputFolder],
        result: FolderResult,
        on_pack: Callable[[Packed], None],
    ) -> None:
        self._plan = plan
        self._folders = folders
        self._result = result
        self._on_pack = on_pack
        self._books = {book.work: book for book in plan.books}
        self._pages_left = Counter(task.picture.root for task in plan.tasks if task.picture.book)
        for root, key in plan.kept:
            if is_book(key):  # a run died between the archive and the end of its work folder
                shutil.rmtree(work_of(Path(root.name, key)).name, ignore_errors=True)
        for book in plan.books:
            if not self._pages_left[book.work]:
                self._try(book)

    def page_ended(self, task: Task) -> None:
        """Count a task that ended."""
        root = task.picture.root
        self._pages_left[root] -= 1
        if root in self._books and not self._pages_left[root]:
            self._try(self._books[root])

    def _try(self, book: Book) -> None:
        """Pack a book if all its pages are there; a full disk stops the run, anything else is the book's failure."""
        folder, name = self._folders[book.found.root], display_text(book.found.name)
        try:
            results = self._results(book)
            if results is not None:
                self._pack(book, folder, results)
        except (EsrtError, OSError) as error:
            reason = str(error) if isinstance(error, EsrtError) else f"{name} cannot be packed: {error}"
            if stops_run(error, book.found.file, folder):
                self._result.stopped = self._result.stopped or TargetError(reason)
            else:
                self._result.failures.append(Failure(book.found.source, reason))

    def _results(self, book: Book) -> dict[str, Path] | None:
        """Return the results of the pages by the entry's name; None if another run has yet to make some.

        Raises: MediaError if pages have failed.
        """
        work = self._folders[book.work]
        work.manifest.refresh()
        ends = {name: work.outcome(page.location, self._plan.job) for name, page in book.pages.items()}
        failures = (*self._plan.refused, *self._plan.failed_before, *self._result.failures)
        failed = {page.source for page in book.pages.values()} & {failure.source for failure in failures}
        if failed:
            count = f"{len(failed)} of its {len(book.pages)} pages failed"
            raise MediaError(f"{display_text(book.found.name)} is not complete: {count}; rerun with --retry-failed")
        if any(end is None or end.state == "failed" for end in ends.values()):
            return None
        return {name: Path(book.work.name, end.target) for name, end in ends.items() if end is not None}

    def _pack(self, book: Book, folder: OutputFolder, results: Mapping[str, Path]) -> None:
        log, found, job = folder.manifest, book.found, self._plan.job
        entry = Entry("writing", job.id, log.name_of(found.location), found.item.stamp, book.key)
        if not folder.claim(book.key):
            return
        try:
            earlier = folder.outcome(found.location, job)
            if earlier is None or not earlier.is_of(found.item.stamp):

                def note(complete: Path) -> None:
                    nonlocal entry
                    entry = replace(entry, target_size=complete.stat().st_size, sha256=digest(complete))
                    folder.note(entry)

                pack(found.file, book.contents, results, book.target, book.overwrite, note)
                folder.note(replace(entry, state="done"))
                self._on_pack(Packed(found.file, book.target, len(book.pages)))
        finally:
            folder.release(book.key)
        self._folders[book.work].close()
        shutil.rmtree(book.work.name, ignore_errors=True)


def _targets(plan: FolderPlan) -> dict[Root, list[Path]]:
    """Return all targets by folder, finished ones too: a run that died while renaming left their temporary files."""
    targets: dict[Root, list[Path]] = {root: [] for root in plan.logs}
    results = [(task.picture.root, key) for task in plan.tasks for key in (task.key, task.sheet)]
    for root, key in (*plan.kept, *results):
        targets[root].append(Path(root.name, key))
    return targets
