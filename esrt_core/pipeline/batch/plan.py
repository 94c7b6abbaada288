"""Plan pictures before any pixel is decoded: what to do, what to skip, and whether the disks have room for it.

A folder on this machine and a cluster with object stores have the same rules; they differ in the logs of earlier runs.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.files import display_name, display_text, free_bytes, nearest_existing
from esrt_core.media.image.formats import Format
from esrt_core.media.image.picture import Source
from esrt_core.pipeline.batch.faults import Fault, FaultCounter, fault_of, reason_of
from esrt_core.pipeline.batch.manifest import Entry, Manifest, ResumeLog
from esrt_core.pipeline.batch.options import FolderOptions, target_in
from esrt_core.pipeline.batch.outputs import JobKey, job_key, limits_text
from esrt_core.pipeline.batch.sources import SKIPPED_SHEET, Filter, Found, Root, find_sources
from esrt_core.pipeline.batch.storage import is_address, join, named, store_of
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, SheetError, Target, UpscalePlan, decide_target, plan_result
from esrt_core.pipeline.sizes import AlreadyLargeError, decimal_text, own_factor
from esrt_core.selection import UpscalerPool

_AT_ONCE = 64  # pictures whose headers are fetched in parallel


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
    """Hold one picture to upscale, in a form that can be sent to other machines.

    key            the target's path relative to the folder of the results.
    replaces       the bytes of our own result that exists at the target, or None.
    failed_before  a failure is recorded.
    """

    plan: UpscalePlan
    picture: Found
    key: str
    replaces: int | None
    failed_before: bool

    @property
    def source(self) -> Path | str:
        """The picture's file or address."""
        return self.picture.source

    @property
    def target(self) -> Path | str:
        """The result's file or address."""
        return named(join(self.picture.root.name, self.key))

    @property
    def sheet(self) -> str:
        """The key of the comparison, beside the result."""
        path = PurePosixPath(self.key)
        return str(path.with_name(f"{path.stem}_compare.png"))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all files that will be written, the target first."""
        return (self.key, self.sheet) if self.plan.options.compare else (self.key,)

    def location_of(self, key: str) -> str:
        """Return the location of a key below the folder of the results."""
        return join(self.picture.root.location, key)


def entry_of(task: Task, state: str, job: JobKey, log: ResumeLog) -> Entry:
    """Return the entry of a task's picture in a state."""
    picture = task.picture
    return Entry(
        state, job.id, log.name_of(picture.location), picture.item.stamp, "" if state == "failed" else task.key
    )


@dataclass(frozen=True)
class Failure:
    """Say why a picture (a file or an address) failed or was refused."""

    source: Path | str
    reason: str


Log = TypeVar("Log", bound=ResumeLog)
OpenLogs = Callable[[Sequence[Found]], dict[Root, Log]]


@dataclass
class Plan(Generic[Log]):
    """Hold what a run will do and what it skips.

    logs           what earlier runs recorded, by the folder of the results.
    skipped        counts of files that are not pictures to upscale, by reason.
    done           pictures whose results exist already; `kept` are those results by folder and key.
    large          pictures that are already large enough.
    failed_before  pictures that failed in an earlier run and have not changed since.
    refused        pictures that cannot be upscaled; `to_note` are the entries that must be kept of them.
    faults         those of this program, by the name of the picture and its folder of results.
    """

    job: JobKey
    options: FolderOptions
    logs: Mapping[Root, Log]
    skipped: Counter[str] = field(default_factory=Counter)
    tasks: list[Task] = field(default_factory=list)
    done: list[Path | str] = field(default_factory=list)
    kept: list[tuple[Root, str]] = field(default_factory=list)
    large: list[Path | str] = field(default_factory=list)
    failed_before: list[Failure] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)
    to_note: list[tuple[Root, Entry]] = field(default_factory=list)
    faults: list[tuple[Fault, str, Root]] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Number of pictures found."""
        failures = len(self.failed_before) + len(self.refused)
        return len(self.tasks) + len(self.done) + len(self.large) + failures

    @property
    def roots(self) -> list[str]:
        """The folders that results go to."""
        return [root.name for root in self.logs]

    def disks(self) -> list[Disk]:
        """Return the disks that results go to, and what they will take; object stores have no limit."""
        return disks_of([task.plan for task in self.tasks if not is_address(task.picture.root.location)])


FolderPlan = Plan[Manifest]


def plan_folder(options: FolderOptions, pool: UpscalerPool) -> FolderPlan:
    """Find the pictures on this machine, read their headers, and decide what to do.

    Raises: OptionError if an input does not exist or an option is invalid, TargetError if the results certainly do
    not fit; a fault of this program that three pictures in a row run into.
    """
    for name in (*options.inputs, options.output or ""):
        if is_address(name):
            raise OptionError(
                f"{display_text(name)} is a remote address; use --ray local to process it on this machine"
            )

    def open_logs(pictures: Sequence[Found]) -> dict[Root, Manifest]:
        roots = dict.fromkeys(found.root for found in pictures)
        return {root: Manifest(Path(root.name)) for root in roots}

    return plan_pictures(options, pool, open_logs)


def plan_pictures(options: FolderOptions, pool: UpscalerPool, open_logs: OpenLogs[Log]) -> Plan[Log]:
    """Find pictures anywhere, read their headers, and decide what to do by what their logs say.

    Raises: what plan_folder() raises, and RemoteError if a store refuses.
    """
    suffix = options.upscale.size.suffix(pool.scales)
    job = job_key(options, pool)
    findings = find_sources(options.inputs, options.output, suffix, Filter(options.include, options.exclude))
    if not findings.pictures and not findings.unreadable:
        names = ", ".join(display_text(name) for name in options.inputs[:3])
        reasons = ", ".join(f"{count} {reason}" for reason, count in findings.skipped.items())
        raise OptionError(f"no pictures in {names}" + (f" (skipped: {reasons})" if reasons else ""))
    plan = Plan(job, options, open_logs(findings.pictures), findings.skipped)
    for path, why in findings.unreadable:
        plan.refused.append(Failure(path, f"{display_text(str(path))} cannot be read: {why}"))
    planner = _Planner(plan, pool, findings.pictures)
    remaining = [found for found in findings.pictures if not planner.is_settled(found)]
    for start in range(0, len(remaining), _AT_ONCE):
        planner.add(remaining[start : start + _AT_ONCE])
    for disk in plan.disks():
        disk.check()
    return plan


class _Planner(Generic[Log]):
    """Decide about one picture after the other, and add it to the plan."""

    def __init__(self, plan: Plan[Log], pool: UpscalerPool, pictures: Sequence[Found]) -> None:
        self._plan = plan
        self._options = plan.options.upscale
        self._limits = limits_text(self._options.limits)
        self._selector = pool.selector
        self._inputs = {store_of(found.location).same(found.location) for found in pictures}
        self._sources: dict[str, Path | str] = {}  # by the key of their target
        self._faults = FaultCounter(lambda folder, text: folder)
        scale = (
            ""
            if self._options.size.is_in_pixels
            else decimal_text(self._options.size.factor or own_factor(pool.scales))
        )
        self._values = {"model": Path(pool.selector.requested).stem, "scale": scale}

    def is_settled(self, found: Found) -> bool:
        """Return whether an earlier run has finished an unchanged picture or failed at it for good."""
        plan, log = self._plan, self._plan.logs[found.root]
        earlier = log.outcome(log.name_of(found.location), plan.job.id)
        if earlier is None or not earlier.is_of(found.item.stamp):
            return False
        if earlier.state == "failed":
            if plan.options.retry_failed or earlier.limits != self._limits:
                return False
            plan.failed_before.append(Failure(found.source, earlier.error))
            return True
        target = join(found.root.location, earlier.target)
        self._sources[store_of(target).same(target)] = found.source
        plan.done.append(found.source)
        plan.kept.append((found.root, earlier.target))
        return True

    def add(self, pictures: Sequence[Found]) -> None:
        """Decide about pictures whose headers are fetched at once."""
        by_scheme: dict[str, list[Found]] = {}
        for found in pictures:
            by_scheme.setdefault(found.name.partition("://")[0] if is_address(found.name) else "", []).append(found)
        for each in by_scheme.values():
            items = {found.location: found.item for found in each}
            sources = store_of(each[0].location).sources(items, [found.name for found in each])
            for found, source in zip(each, sources, strict=True):
                self._add(found, source)

    def _add(self, found: Found, source: Source) -> None:
        """Plan a picture; one that cannot be upscaled is refused, and remembered if its file is the cause."""
        plan = self._plan
        try:
            plan.tasks.append(self._checked(self._planned(found, source)))
            self._faults.add(None, found.name, "")
        except AlreadyLargeError:
            plan.large.append(found.source)
        except SheetError:
            plan.skipped[SKIPPED_SHEET] += 1
        except Exception as error:
            reason, fault = reason_of(error, display_text(found.name)), fault_of(error)
            if self._faults.add(fault, found.name, ""):
                raise
            plan.refused.append(Failure(found.source, reason))
            plan.faults += [] if fault is None else [(fault, found.name, found.root)]
            if isinstance(error, MediaError):
                name = plan.logs[found.root].name_of(found.location)
                entry = Entry("failed", plan.job.id, name, found.item.stamp, error=reason, limits=self._limits)
                plan.to_note.append((found.root, entry))

    def _planned(self, found: Found, source: Source) -> Task:
        """Plan one picture as if its target could be replaced; _checked() decides about that."""
        plan = plan_result(Input(source), self._options, self._selector, partial(self._target, found))
        assert plan.target.path is not None
        key = plan.target.path.as_posix()
        if not is_address(found.root.location):
            plan = replace(plan, target=replace(plan.target, path=Path(found.root.name, key)))
        if not isinstance(source, Path):  # which cannot be sent to another machine
            plan = replace(plan, source=Input(Path(found.relative_path.name)))
        log = self._plan.logs[found.root]
        name = log.name_of(found.location)
        earlier = log.outcome(name, self._plan.job.id)
        failed = earlier is not None and earlier.state == "failed"
        return Task(plan, found, key, log.owned_size(key, name), failed)

    def _target(self, found: Found, source: Input, kind: Format, suffix: str, options: UpscaleOptions) -> Target:
        """Return a target whose path is relative to the folder of the results."""
        named_, template = Input(Path(found.relative_path.name)), self._plan.options.name
        if found.alongside and template is None:
            return decide_target(named_, kind, suffix, replace(options, output=None))
        folder = Path(found.relative_path.parent)
        return target_in(folder, template, self._values, named_, kind, suffix, options)

    def _checked(self, task: Task) -> Task:
        """Refuse a target that belongs to another picture, is an input, or is not our own earlier result.

        Raises: OptionError or TargetError.
        """
        is_ours = task.replaces is not None
        root, overwrite = task.picture.root, is_ours or self._options.overwrite
        for index, key in enumerate(task.keys):
            location, name = task.location_of(key), display_text(str(named(join(root.name, key))))
            store = store_of(location)
            store.check(location)
            same = store.same(location)
            if same in self._inputs:
                raise TargetError(f"{name} is an input and is never overwritten; choose another -o")
            if index == 0:
                self._claim(same, name, task.source)
            if not overwrite and self._plan.logs[root].exists(key):
                raise TargetError(f"{name} exists and is not a result of this command; use --overwrite")
        return replace(task, plan=replace(task.plan, options=replace(task.plan.options, overwrite=overwrite)))

    def _claim(self, same: str, name: str, source: Path | str) -> None:
        if same in self._sources:
            both = f"{display_text(str(source))} and {display_text(str(self._sources[same]))}"
            raise OptionError(f"{both} would both be written to {name}; use --name or -o to tell them apart")
        self._sources[same] = source
