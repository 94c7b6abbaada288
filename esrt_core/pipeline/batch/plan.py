"""Plan pictures before any pixel is decoded: what to do, what to skip, and whether the disks have room for it.

A folder on this machine and a cluster with object stores have the same rules; they differ in the logs of earlier runs.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.files import display_text
from esrt_core.media.image.formats import Format
from esrt_core.media.image.picture import Source
from esrt_core.pipeline.batch.books import WORK, Contents, is_book, read_contents, result_names
from esrt_core.pipeline.batch.books import page as page_of
from esrt_core.pipeline.batch.disks import Disk, disks_of
from esrt_core.pipeline.batch.faults import Fault, FaultCounter, fault_of, reason_of
from esrt_core.pipeline.batch.manifest import Entry, Manifest, ResumeLog
from esrt_core.pipeline.batch.options import FolderOptions, target_in
from esrt_core.pipeline.batch.outputs import JobKey, job_key, limits_text
from esrt_core.pipeline.batch.sources import (
    SKIPPED_SHEET,
    Filter,
    Findings,
    Found,
    Root,
    find_sources,
    reason_by_name,
    root_of,
)
from esrt_core.pipeline.batch.storage import Item, is_address, join, named, store_of
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, SheetError, Target, UpscalePlan, decide_target, plan_result
from esrt_core.pipeline.sizes import AlreadyLargeError, decimal_text, own_factor
from esrt_core.selection import UpscalerPool

_AT_ONCE = 64  # pictures whose headers are fetched in parallel


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
        """The result's file or address; a page's is in the archive of the results."""
        if not self.picture.book:
            return named(join(self.picture.root.name, self.key))
        work = Path(self.picture.root.name)
        archive = work.with_name(work.name.removeprefix(".").removesuffix(WORK))
        return (archive / self.picture.name.removeprefix(f"{self.picture.book}/")).with_suffix(Path(self.key).suffix)

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
class Book:
    """Hold one comic archive to upscale: its file, its target, its contents, and its pages by the entry's name.

    found   the archive; its root is the folder of the result.
    key     the target's path relative to that folder.
    pages   the pictures to upscale; their root is the work folder. Entries that are none are kept as they are.
    """

    found: Found
    key: str
    contents: Contents
    pages: Mapping[str, Found]
    overwrite: bool

    @property
    def target(self) -> Path:
        """The archive of the results."""
        return Path(self.found.root.name, self.key)

    @property
    def work(self) -> Root:
        """The folder of the finished pages."""
        return work_of(self.target)


def work_of(target: Path) -> Root:
    """Return the work folder of an archive of results."""
    return root_of(str(target.with_name(f".{target.name}{WORK}")))


@dataclass(frozen=True)
class Failure:
    """Say why a picture (a file or an address) failed or was refused."""

    source: Path | str
    reason: str


Log = TypeVar("Log", bound=ResumeLog)


@dataclass
class Plan(Generic[Log]):
    """Hold what a run will do and what it skips.

    logs           what earlier runs recorded, by the folder of the results.
    skipped        counts of files that are not pictures to upscale, by reason.
    done           pictures whose results exist already; `kept` are those results by folder and key.
    large          pictures that are already large enough.
    failed_before  pictures that failed in an earlier run and have not changed since.
    books          comic archives with pages to upscale, which are among the tasks.
    refused        pictures that cannot be upscaled; `to_note` are the entries that must be kept of them.
    faults         those of this program, by the name of the picture and its folder of results.
    """

    job: JobKey
    options: FolderOptions
    logs: dict[Root, Log]
    skipped: Counter[str] = field(default_factory=Counter)
    tasks: list[Task] = field(default_factory=list)
    books: list[Book] = field(default_factory=list)
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
        return [root.name for root in self.logs if not root.name.endswith(WORK)]

    def disks(self) -> list[Disk]:
        """Return the disks that results go to, and what they will take; object stores have no limit."""
        return disks_of([task.plan for task in self.tasks if not is_address(task.picture.root.location)])


FolderPlan = Plan[Manifest]


def plan_folder(options: FolderOptions, pool: UpscalerPool) -> FolderPlan:
    """Find the pictures on this machine, read their headers, and decide what to do.

    Raises: OptionError if an input does not exist or an option is invalid, TargetError if the results certainly do
    not fit; a fault of this program that three pictures in a row run into.
    """
    check_local(options)
    findings = find_pictures(options, pool)
    check_found(findings, options)
    return plan_pictures(options, pool, findings, lambda root: Manifest(Path(root.name)))


def check_local(options: FolderOptions) -> None:
    """Raise OptionError if the options name a remote address."""
    for name in (*options.inputs, options.output or ""):
        if is_address(name):
            raise OptionError(
                f"{display_text(name)} is a remote address; use --ray local to process it on this machine"
            )


def find_pictures(options: FolderOptions, pool: UpscalerPool) -> Findings:
    """Return the pictures that the options name.

    Raises: OptionError if an input does not exist, RemoteError if a store refuses.
    """
    suffix = options.upscale.size.suffix(pool.scales)
    return find_sources(options.inputs, options.output, suffix, Filter(options.include, options.exclude))


def check_found(findings: Findings, options: FolderOptions) -> None:
    """Raise OptionError if no picture was found and there is nothing to report."""
    if not (findings.pictures or findings.books or findings.unreadable):
        names = ", ".join(display_text(name) for name in options.inputs[:3])
        reasons = ", ".join(f"{count} {reason}" for reason, count in findings.skipped.items())
        raise OptionError(f"no pictures in {names}" + (f" (skipped: {reasons})" if reasons else ""))


def plan_pictures(
    options: FolderOptions,
    pool: UpscalerPool,
    findings: Findings,
    open_log: Callable[[Root], Log],
    wanted: Callable[[Found], bool] = lambda found: True,
) -> Plan[Log]:
    """Read the headers of the wanted pictures and archives, and decide what to do by the logs of their folders.

    Raises: what plan_folder() raises, and RemoteError if a store refuses.
    """
    roots = dict.fromkeys(found.root for found in (*findings.pictures, *findings.books))
    logs = {root: open_log(root) for root in roots}
    plan = Plan(job_key(options, pool), options, logs, findings.skipped)
    for path, why in findings.unreadable:
        plan.refused.append(Failure(path, f"{display_text(str(path))} cannot be read: {why}"))
    planner = _Planner(plan, pool, (*findings.pictures, *findings.books))
    remaining = [found for found in findings.pictures if wanted(found) and not planner.is_settled(found)]
    for start in range(0, len(remaining), _AT_ONCE):
        planner.add(remaining[start : start + _AT_ONCE])
    for found in findings.books:
        if wanted(found) and not planner.is_settled(found):
            planner.add_book(found, open_log)
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
        self._suffix = self._options.size.suffix(pool.scales)
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

    def add_book(self, found: Found, open_log: Callable[[Root], Log]) -> None:
        """Decide about a comic archive and its pages; those that are large enough already are kept as they are."""
        plan = self._plan
        try:
            book = self._book(found)
        except Exception as error:  # noqa: BLE001 (whatever one file does must not end the others; it is reported)
            self._refuse(found, error)
            return
        plan.logs[book.work] = open_log(book.work)
        kept, tasks = {}, len(plan.tasks)
        for entry in book.contents.entries:
            page = book.pages.get(entry.name)
            if page and (self.is_settled(page) or self._add(page, page_of(found.file, entry))):
                kept[entry.name] = page
        try:
            result_names(book.contents, self._suffixes(kept, plan.tasks[tasks:], plan.logs[book.work]))
        except OptionError as error:
            del plan.tasks[tasks:]
            self._refuse(found, OptionError(f"{display_text(found.name)}: {error}"))
            return
        plan.books.append(replace(book, pages=kept))

    def _suffixes(self, pages: Mapping[str, Found], tasks: Sequence[Task], log: Log) -> dict[str, str]:
        """Return the suffix of the result of every page that has one, or will have."""
        keys = {task.picture.location: task.key for task in tasks}
        for page in pages.values():
            earlier = log.outcome(log.name_of(page.location), self._plan.job.id)
            if page.location not in keys and earlier is not None and earlier.target:
                keys[page.location] = earlier.target
        found = {name: keys.get(page.location) for name, page in pages.items()}
        return {name: PurePosixPath(key).suffix for name, key in found.items() if key}

    def _book(self, found: Found) -> Book:
        """Read the directory of an archive, and check its target.

        Raises: MediaError, OptionError or TargetError.
        """
        contents = read_contents(found.file, self._options.limits.max_pixels)
        path = found.relative_path
        key = path.with_name(f"{path.stem}_{self._suffix}{path.suffix}") if found.alongside else path
        log = self._plan.logs[found.root]
        is_ours = log.owned_size(str(key), log.name_of(found.location)) is not None
        overwrite = self._check(found, (str(key),), is_ours)
        work, pages = work_of(Path(found.root.name, key)), {}
        for number, entry in enumerate(contents.entries):
            name = entry.path
            if entry.may_be_page and reason_by_name(name, Filter()) is None and not is_book(entry.name):
                item = Item(entry.size, f"{found.item.stamp} {entry.crc}")
                numbered = PurePosixPath(f"{number:05}{name.suffix}")
                pages[entry.name] = Found(f"{found.name}/{entry.name}", item, work, numbered, book=found.name)
        if not pages:
            raise MediaError(f"{display_text(found.name)} has no pages that esrt reads; check the archive")
        return Book(found, str(key), contents, pages, overwrite)

    def _add(self, found: Found, source: Source) -> bool:
        """Plan a picture; return whether it is one to upscale, even if that cannot be done."""
        plan = self._plan
        try:
            plan.tasks.append(self._checked(self._planned(found, source)))
            self._faults.add(None, found.name, "")
        except AlreadyLargeError:
            plan.large.append(found.source)
            return False
        except SheetError:
            plan.skipped[SKIPPED_SHEET] += 1
            return False
        except Exception as error:  # noqa: BLE001 (as above)
            self._refuse(found, error)
        return True

    def _refuse(self, found: Found, error: Exception) -> None:
        """Refuse what cannot be upscaled, and remember it if its file is the cause.

        Raises: the error itself if it is a fault of this program that three pictures in a row have run into.
        """
        plan = self._plan
        reason, fault = reason_of(error, display_text(found.name)), fault_of(error)
        if self._faults.add(fault, found.name, ""):
            raise error
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
        if is_address(found.name):  # whose source cannot be sent to another machine
            plan = replace(plan, source=Input(Path(found.relative_path.name)))
        log = self._plan.logs[found.root]
        name = log.name_of(found.location)
        earlier = log.outcome(name, self._plan.job.id)
        failed = earlier is not None and earlier.state == "failed"
        return Task(plan, found, key, log.owned_size(key, name), failed)

    def _target(self, found: Found, source: Input, kind: Format, suffix: str, options: UpscaleOptions) -> Target:
        """Return a target whose path is relative to the folder of the results."""
        named_ = Input(Path(found.relative_path.name))
        template = None if found.book else self._plan.options.name
        if found.alongside and template is None:
            return decide_target(named_, kind, suffix, replace(options, output=None))
        folder = Path(found.relative_path.parent)
        return target_in(folder, template, self._values, named_, kind, suffix, options)

    def _checked(self, task: Task) -> Task:
        """Refuse a target that belongs to another picture, is an input, or is not our own earlier result.

        Raises: OptionError or TargetError.
        """
        overwrite = self._check(task.picture, task.keys, task.replaces is not None)
        return replace(task, plan=replace(task.plan, options=replace(task.plan.options, overwrite=overwrite)))

    def _check(self, found: Found, keys: Sequence[str], is_ours: bool) -> bool:
        """Check the files that will be written, the target first; return whether they may replace others."""
        root, overwrite = found.root, is_ours or self._options.overwrite
        for index, key in enumerate(keys):
            location, name = join(root.location, key), display_text(str(named(join(root.name, key))))
            store = store_of(location)
            store.check(location)
            same = store.same(location)
            if same in self._inputs:
                raise TargetError(f"{name} is an input and is never overwritten; choose another -o")
            if index == 0:
                self._claim(same, name, found.source)
            if not overwrite and self._plan.logs[root].exists(key):
                raise TargetError(f"{name} exists and is not a result of this command; use --overwrite")
        return overwrite

    def _claim(self, same: str, name: str, source: Path | str) -> None:
        if same in self._sources:
            both = f"{display_text(str(source))} and {display_text(str(self._sources[same]))}"
            raise OptionError(f"{both} would both be written to {name}; use --name or -o to tell them apart")
        self._sources[same] = source
