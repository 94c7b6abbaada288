"""Plan a folder before any pixel is decoded: what to do, what to skip, and whether the disks have room for it."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from esrt_core.errors import EsrtError, MediaError, OptionError, TargetError
from esrt_core.files import display_name, display_text, free_bytes, nearest_existing, target_key
from esrt_core.pipeline.batch.manifest import Entry, Record
from esrt_core.pipeline.batch.options import FolderOptions, target_in
from esrt_core.pipeline.batch.outputs import JobKey, OutputFolder, job_key, limits_text
from esrt_core.pipeline.batch.sources import SKIPPED_SHEET, Filter, Findings, Found, find_sources
from esrt_core.pipeline.image.plan import Input, SheetError, UpscalePlan, decide_target, plan_upscale
from esrt_core.pipeline.sizes import AlreadyLargeError, SizeRequest, decimal_text, own_factor
from esrt_core.selection import UpscalerPool


@dataclass(frozen=True)
class Disk:
    """Compare the free bytes on the disk of `folder` with the expected and the least size of the results."""

    folder: Path
    free: int
    expected: int
    least: int

    def check(self) -> None:
        """Raise TargetError if the results certainly do not fit."""
        if self.least > self.free:
            raise TargetError(
                f"{display_name(self.folder)}: the results need at least {self.least:,} bytes but only {self.free:,} "
                "are free on this disk; free some space or choose another folder with -o"
            )


def disks_of(plans: Iterable[UpscalePlan]) -> list[Disk]:
    """Return the disks that the results of plans go to."""
    folders: dict[int, Path] = {}
    sums: dict[int, list[float]] = {}
    devices: dict[Path, int] = {}
    for plan in plans:
        assert plan.target.path is not None
        folder = plan.target.path.parent
        if folder not in devices:
            devices[folder] = nearest_existing(folder).stat().st_dev
        device = devices[folder]
        folders.setdefault(device, folder)
        total = sums.setdefault(device, [0.0, 0.0])
        total[0] += expected_bytes(plan)
        total[1] += plan.target.format.least_bytes * _pixels(plan)
    return [
        Disk(folder, free_bytes(folder), math.ceil(sums[device][0]), math.ceil(sums[device][1]))
        for device, folder in folders.items()
    ]


def expected_bytes(plan: UpscalePlan) -> float:
    """Return the expected size of one result in bytes: for a lossless source of the same format, at most its own rate.

    The rate of a lossy source says little: its quality is often lower than that of the results.
    """
    typical = plan.target.format.typical_bytes * (2 if plan.info.depth > 8 else 1)
    if plan.target.format == plan.info.format and plan.info.lossless is not False:
        own = plan.info.byte_size / (plan.info.width * plan.info.height * plan.info.pages)
        typical = min(typical, own)
    return typical * _pixels(plan)


def _pixels(plan: UpscalePlan) -> int:
    return plan.size.width * plan.size.height * plan.pages


@dataclass(frozen=True)
class Task:
    """Hold one picture to upscale: its plan, the root folder of its result, and its file's size and mtime."""

    plan: UpscalePlan
    folder: OutputFolder
    size: int
    mtime_ns: int

    @property
    def source(self) -> Path:
        """The picture's file."""
        assert self.plan.source.path is not None
        return self.plan.source.path

    @property
    def target(self) -> Path:
        """The result's file."""
        assert self.plan.target.path is not None
        return self.plan.target.path

    def entry(self, state: str, job: JobKey) -> Entry:
        """Return the manifest entry of the picture in a state."""
        names = self.folder.name_of(self.source), self.folder.name_of(self.target)
        return Entry(state, job.id, names[0], self.size, self.mtime_ns, names[1])


@dataclass(frozen=True)
class Failure:
    """Say why a picture (a file or an address) failed or was refused."""

    source: Path | str
    reason: str


AnyTask = TypeVar("AnyTask")


@dataclass
class Plan(Generic[AnyTask]):
    """Hold what a run will do and what it skips.

    skipped        counts of files that are not pictures to upscale, by reason.
    done           pictures whose results exist already.
    large          pictures that are already large enough.
    failed_before  pictures that failed in an earlier run and have not changed since.
    refused        pictures that cannot be upscaled.
    """

    job: JobKey
    options: FolderOptions
    skipped: Counter[str]
    tasks: list[AnyTask] = field(default_factory=list)
    done: list[Path | str] = field(default_factory=list)
    large: list[Path | str] = field(default_factory=list)
    failed_before: list[Failure] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Number of pictures found."""
        failures = len(self.failed_before) + len(self.refused)
        return len(self.tasks) + len(self.done) + len(self.large) + failures


@dataclass(frozen=True)
class ResultFile:
    """Describe a file that a task will write.

    name       for messages.
    key        equal for two files exactly if one would overwrite the other.
    input_key  what is compared with the keys of inputs.
    """

    name: str
    key: str
    input_key: str
    exists: bool


class Rules(Generic[AnyTask]):
    """Apply the rules that folders and clusters share to one picture after the other, and collect them in a plan."""

    def __init__(self, plan: Plan[AnyTask], inputs: Set[str]) -> None:
        self.limits = limits_text(plan.options.upscale.limits)
        self._plan = plan
        self._inputs = inputs
        self._sources: dict[str, str] = {}  # by the key of their target

    def settle(self, source: Path | str, earlier: Entry | Record, target_key: str) -> bool:
        """Return whether an earlier run has finished an unchanged picture or failed at it for good."""
        plan = self._plan
        if earlier.state != "failed":
            plan.done.append(source)
            self._sources[target_key] = str(source)
            return True
        if plan.options.retry_failed or earlier.limits != self.limits:
            return False
        plan.failed_before.append(Failure(source, earlier.error))
        return True

    def decide(
        self, source: Path | str, plan_task: Callable[[], AnyTask], note_failure: Callable[[MediaError], None]
    ) -> None:
        """Plan a picture; one that cannot be upscaled is refused, and remembered if its file is the cause."""
        try:
            self._plan.tasks.append(plan_task())
        except AlreadyLargeError:
            self._plan.large.append(source)
        except SheetError:
            self._plan.skipped[SKIPPED_SHEET] += 1
        except EsrtError as error:
            self._plan.refused.append(Failure(source, str(error)))
            if isinstance(error, MediaError):
                note_failure(error)

    def check(self, source: str, files: Sequence[ResultFile], is_ours: bool) -> None:
        """Refuse a target that belongs to another picture, is an input, or is not our own earlier result.

        The first of `files` is the target. Raises: OptionError or TargetError.
        """
        first = files[0]
        if first.key in self._sources:
            other = display_text(self._sources[first.key])
            raise OptionError(
                f"{display_text(source)} and {other} would both be written to {first.name}; use --name or -o to tell "
                "them apart"
            )
        self._sources[first.key] = source
        for file in files:
            if file.input_key in self._inputs:
                raise TargetError(f"{file.name} is an input and is never overwritten; choose another -o")
            if file.exists and not is_ours and not self._plan.options.upscale.overwrite:
                raise TargetError(f"{file.name} exists and is not a result of this command; use --overwrite")


@dataclass
class FolderPlan(Plan[Task]):
    """Plan what run_folder() will do.

    folders  the folders of results by path.
    kept     results that exist already.
    to_note  the entries that the manifest must keep of refused pictures.
    """

    folders: Mapping[Path, OutputFolder] = field(default_factory=dict)
    kept: list[tuple[OutputFolder, Path]] = field(default_factory=list)
    to_note: list[tuple[OutputFolder, Entry]] = field(default_factory=list)

    @property
    def roots(self) -> list[str]:
        """The folders that results go to."""
        return [str(root) for root in self.folders]

    def disks(self) -> list[Disk]:
        """Return the disks that results go to, and what they will take."""
        return disks_of([task.plan for task in self.tasks])


def plan_folder(options: FolderOptions, pool: UpscalerPool) -> FolderPlan:
    """Find the pictures, read their headers, and decide what to do.

    Raises: OptionError if an input does not exist or an option is invalid, TargetError if the results certainly do
    not fit.
    """
    job = job_key(options, pool)
    suffix = options.upscale.size.suffix(pool.scales)
    output = None if options.output is None else Path(options.output)
    findings = find_sources(options.inputs, output, suffix, Filter(options.include, options.exclude))
    check_found(findings, options)
    roots = dict.fromkeys(found.root for found in findings.pictures)
    plan = FolderPlan(job, options, findings.skipped, folders={root: OutputFolder(root) for root in roots})
    plan.refused += [
        Failure(folder, f"{display_name(folder)} cannot be read: {why}") for folder, why in findings.unreadable
    ]
    sorter = _Sorter(plan, pool, findings.pictures)
    for found in findings.pictures:
        sorter.sort(found)
    for disk in plan.disks():
        disk.check()
    return plan


def check_found(findings: Findings[Any], options: FolderOptions) -> None:
    """Raise OptionError if no picture was found and there is nothing to report."""
    if not findings.pictures and not findings.unreadable:
        names = ", ".join(display_name(Path(name)) for name in options.inputs[:3])
        reasons = ", ".join(f"{count} {reason}" for reason, count in findings.skipped.items())
        raise OptionError(f"no pictures in {names}" + (f" (skipped: {reasons})" if reasons else ""))


class _Sorter:
    """Decide about every picture and add it to the plan."""

    def __init__(self, plan: FolderPlan, pool: UpscalerPool, pictures: Iterable[Found]) -> None:
        self._plan = plan
        self._options = plan.options.upscale
        self._selector = pool.selector
        self._rules = Rules(plan, {os.path.realpath(found.source) for found in pictures})
        self._values = name_values(self._options.size, pool)

    def sort(self, found: Found) -> None:
        """Decide about one picture."""
        plan, folder = self._plan, self._plan.folders[found.root]
        try:
            status = found.source.stat()
        except OSError as error:
            plan.refused.append(Failure(found.source, f"{display_name(found.source)}: {error.strerror}"))
            return
        stamp = (status.st_size, status.st_mtime_ns)
        earlier = folder.outcome(found.source, plan.job)
        if earlier is not None and (earlier.size, earlier.mtime_ns) == stamp:
            target = found.root / earlier.target
            if self._rules.settle(found.source, earlier, target_key(target)):
                plan.kept += [(folder, target)] if earlier.state != "failed" else []
                return

        def note_failure(error: MediaError) -> None:
            entry = Entry("failed", plan.job.id, folder.name_of(found.source), *stamp, error=str(error))
            plan.to_note.append((folder, replace(entry, limits=self._rules.limits)))

        self._rules.decide(
            found.source, lambda: self._checked(Task(self._planned(found), folder, *stamp)), note_failure
        )

    def _planned(self, found: Found) -> UpscalePlan:
        """Plan one picture as if its target could be replaced; Rules.check() decides about that."""
        options = replace(self._options, output=None if found.alongside else f"{found.root}{os.sep}", overwrite=True)
        template = self._plan.options.name
        in_folder = partial(target_in, found.root / found.relative_path.parent, template, self._values)
        target_rule = decide_target if found.alongside and template is None else in_folder
        return plan_upscale(Input(found.source), options, self._selector, target_rule)

    def _checked(self, task: Task) -> Task:
        folder = task.folder
        is_ours = folder.manifest.owns(folder.name_of(task.target), folder.name_of(task.source))
        self._rules.check(str(task.source), [_result_file(path) for path in _results(task)], is_ours)
        options = replace(task.plan.options, overwrite=is_ours or self._options.overwrite)
        return replace(task, plan=replace(task.plan, options=options))


def name_values(size: SizeRequest, pool: UpscalerPool) -> dict[str, str]:
    """Return the values of {model} and {scale} in a --name."""
    scale = "" if size.is_in_pixels else decimal_text(size.factor or own_factor(pool.scales))
    return {"model": Path(pool.selector.requested).stem, "scale": scale}


def _results(task: Task) -> Iterator[Path]:
    yield task.target
    if task.plan.options.compare and task.plan.target.sheet is not None:
        yield task.plan.target.sheet


def _result_file(path: Path) -> ResultFile:
    return ResultFile(display_name(path), target_key(path), os.path.realpath(path), os.path.lexists(path))
