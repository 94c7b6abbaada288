"""Plan a folder before any pixel is decoded: what to do, what to skip, and whether the disks have room for it."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from esrt_core.errors import EsrtError, MediaError, OptionError, TargetError
from esrt_core.files import display_name, free_bytes, nearest_existing, target_key
from esrt_core.pipeline.batch.manifest import Entry
from esrt_core.pipeline.batch.options import FolderOptions, target_in
from esrt_core.pipeline.batch.outputs import JobKey, OutputFolder, job_key, limits_text
from esrt_core.pipeline.batch.sources import SHEET, Filter, Findings, Found, find_sources
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


@dataclass
class FolderPlan:
    """Hold what run_folder() will do and what it skips.

    done           pictures whose results exist already; `kept` has those results.
    large          pictures that are already large enough.
    failed_before  pictures that failed in an earlier run and have not changed since.
    refused        pictures that cannot be upscaled; `to_note` has the entries that the manifest must keep of them.
    """

    job: JobKey
    options: FolderOptions
    folders: Mapping[Path, OutputFolder]
    skipped: Counter[str]
    tasks: list[Task] = field(default_factory=list)
    done: list[Path] = field(default_factory=list)
    kept: list[tuple[OutputFolder, Path]] = field(default_factory=list)
    large: list[Path] = field(default_factory=list)
    failed_before: list[Failure] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)
    to_note: list[tuple[OutputFolder, Entry]] = field(default_factory=list)

    @property
    def roots(self) -> list[str]:
        """The folders that results go to."""
        return [str(root) for root in self.folders]

    @property
    def found(self) -> int:
        """Number of pictures found."""
        failures = len(self.failed_before) + len(self.refused)
        return len(self.tasks) + len(self.done) + len(self.large) + failures

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
    plan = FolderPlan(job, options, {root: OutputFolder(root) for root in roots}, findings.skipped)
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
        self._targets: dict[str, Path] = {}
        self._sources = {os.path.realpath(found.source) for found in pictures}
        self._limits = limits_text(self._options.limits)
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
        if earlier is not None and (earlier.size, earlier.mtime_ns) == stamp and self._is_settled(found, earlier):
            return
        try:
            task = self._checked(Task(self._planned(found), folder, *stamp))
        except AlreadyLargeError:
            plan.large.append(found.source)
        except SheetError:
            plan.skipped[SHEET] += 1
        except EsrtError as error:
            plan.refused.append(Failure(found.source, str(error)))
            if isinstance(error, MediaError):
                entry = Entry("failed", plan.job.id, folder.name_of(found.source), *stamp, error=str(error))
                plan.to_note.append((folder, replace(entry, limits=self._limits)))
        else:
            plan.tasks.append(task)

    def _is_settled(self, found: Found, earlier: Entry) -> bool:
        """Return whether an earlier run has finished a picture or failed at it for good."""
        if earlier.state != "failed":
            self._plan.done.append(found.source)
            self._plan.kept.append((self._plan.folders[found.root], found.root / earlier.target))
            self._targets[target_key(found.root / earlier.target)] = found.source
            return True
        if self._plan.options.retry_failed or earlier.limits != self._limits:
            return False
        self._plan.failed_before.append(Failure(found.source, earlier.error))
        return True

    def _planned(self, found: Found) -> UpscalePlan:
        """Plan one picture as if its target could be replaced; _checked() decides about that."""
        options = replace(self._options, output=None if found.alongside else f"{found.root}{os.sep}", overwrite=True)
        template = self._plan.options.name
        in_folder = partial(target_in, found.root / found.relative_path.parent, template, self._values)
        target_rule = decide_target if found.alongside and template is None else in_folder
        return plan_upscale(Input(found.source), options, self._selector, target_rule)

    def _checked(self, task: Task) -> Task:
        """Refuse a target that belongs to another picture, is an input, or is not our own earlier result."""
        key = target_key(task.target)
        if key in self._targets:
            raise both_become(task.plan.source.name, display_name(self._targets[key]), task.plan.target.name)
        self._targets[key] = task.source
        folder = task.folder
        ours = folder.manifest.owns(folder.name_of(task.target), folder.name_of(task.source))
        for path in _results(task):
            if os.path.realpath(path) in self._sources:
                raise is_input(display_name(path))
            if os.path.lexists(path) and not ours and not self._options.overwrite:
                raise not_ours(display_name(path))
        options = replace(task.plan.options, overwrite=ours or self._options.overwrite)
        return replace(task, plan=replace(task.plan, options=options))


def name_values(size: SizeRequest, pool: UpscalerPool) -> dict[str, str]:
    """Return the values of {model} and {scale} in a --name."""
    scale = "" if size.is_in_pixels else decimal_text(size.factor or own_factor(pool.scales))
    return {"model": Path(pool.selector.requested).stem, "scale": scale}


def both_become(first: str, second: str, target: str) -> OptionError:
    """Return the error of a picture that has the same target as another one."""
    return OptionError(f"{first} and {second} would both be written to {target}; use --name or -o to tell them apart")


def is_input(target: str) -> TargetError:
    """Return the error of a target that is an input."""
    return TargetError(f"{target} is an input and is never overwritten; choose another -o")


def not_ours(target: str) -> TargetError:
    """Return the error of an existing target that is not a result of this command."""
    return TargetError(f"{target} exists and is not a result of this command; use --overwrite")


def _results(task: Task) -> Iterator[Path]:
    yield task.target
    if task.plan.options.compare and task.plan.target.sheet is not None:
        yield task.plan.target.sheet
