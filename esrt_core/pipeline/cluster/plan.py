"""Find pictures and plan them for a cluster, by the rules of a folder on one machine."""

import glob
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

from esrt_core.errors import MediaError, OptionError
from esrt_core.files import display_name, display_text
from esrt_core.media.image.formats import Format
from esrt_core.media.image.picture import RemoteFile
from esrt_core.pipeline.batch.manifest import FOLDER, Record, Records, is_record, parse_record
from esrt_core.pipeline.batch.options import FolderOptions, target_in
from esrt_core.pipeline.batch.outputs import job_key
from esrt_core.pipeline.batch.plan import (
    Disk,
    Failure,
    Plan,
    ResultFile,
    Rules,
    check_found,
    disks_of,
    name_values,
)
from esrt_core.pipeline.batch.sources import (
    EXCLUDED,
    HIDDEN,
    OWN,
    Filter,
    Findings,
    Found,
    find_sources,
    reason_by_name,
)
from esrt_core.pipeline.cluster.storage import Item, ObjectStore, file_stamp, is_address, join, plain_path, store_of
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, Target, UpscalePlan, decide_target, plan_result
from esrt_core.selection import UpscalerPool

_AT_ONCE = 64  # pictures whose headers are fetched in parallel


@dataclass(frozen=True)
class Root:
    """Hold a folder of results: its absolute path or address, and its name for messages."""

    location: str
    name: str


@dataclass(frozen=True)
class StoredPicture:
    """Hold one picture: its absolute path or address, its name for messages, and what Found has for local files."""

    location: str
    name: str
    item: Item
    root: Root
    relative_path: PurePath
    alongside: bool = False


def find_stored(options: FolderOptions, suffix: str) -> Findings[StoredPicture]:
    """Return the pictures of all inputs, sorted by location.

    Raises: OptionError if an input does not exist or paths and addresses are mixed, RemoteError if a store refuses.
    """
    inputs = [plain_path(name) for name in options.inputs]
    output = None if options.output is None else plain_path(options.output)
    filter_ = Filter(options.include, options.exclude)
    remote = [is_address(name) for name in inputs]
    if not any(remote):
        return _local_pictures(find_sources(inputs, None if output is None else Path(output), suffix, filter_), output)
    if not all(remote):
        raise OptionError("local paths and remote addresses cannot be mixed; run the command once for each")
    walk = _Listing(filter_, None if output is None else _root(output))
    for name in inputs:
        walk.add(name)
    return walk.findings(suffix)


def read_records(folder: str, items: Mapping[str, Item]) -> Records:
    """Return what earlier runs recorded in a folder of results that holds `items`."""
    contents = store_of(folder).read_all([join(folder, key) for key in items if is_record(key)])
    records = [parse_record(content) for content in contents if content is not None]
    return Records([record for record in records if record], {key: item.size for key, item in items.items()})


def results_at(folder: str, deep: bool) -> dict[str, Item]:
    """Return the objects of a folder of results: its whole tree, or those directly in it and the records."""
    store = store_of(folder)
    if deep:
        return dict(store.listing(folder))
    records = store.listing(join(folder, FOLDER))
    return {**store.directly(folder), **{f"{FOLDER}/{key}": item for key, item in records.items()}}


def _local_pictures(found: Findings[Found], output: str | None) -> Findings[StoredPicture]:
    """Return local pictures by absolute path, which must be the same on all machines."""
    findings = Findings[StoredPicture](skipped=found.skipped, unreadable=found.unreadable)
    for picture in found.pictures:
        try:
            status = picture.source.stat()
        except OSError as error:
            findings.unreadable.append((picture.source, error.strerror or str(error)))
            continue
        item = Item(status.st_size, file_stamp(status))
        root = _root(str(picture.root) if output is None else output)
        location, name = str(picture.source.absolute()), str(picture.source)
        findings.pictures.append(StoredPicture(location, name, item, root, picture.relative_path, picture.alongside))
    return findings


def _root(location: str) -> Root:
    return Root(location.rstrip("/") if is_address(location) else str(Path(location).absolute()), location)


class _Listing:
    """Collect pictures from listings of addresses, every object once."""

    def __init__(self, filter_: Filter, output: Root | None) -> None:
        self._filter = filter_
        self._output = output
        self._skipped: Counter[str] = Counter()
        self._pictures: dict[str, StoredPicture] = {}
        self._folders: list[tuple[str, Mapping[str, Item]]] = []
        self._singles: list[tuple[str, Item]] = []

    def add(self, name: str) -> None:
        """List one input: a folder, an object, or the matches of a glob.

        Raises: OptionError if it does not exist.
        """
        store = ObjectStore(name.partition("://")[0])
        listing = store.listing(name)
        if not listing and glob.has_magic(name):
            matches = store.matches(name)
            if not matches:
                raise OptionError(f"{display_text(name)} matches nothing; check the address")
            self._singles += [(match, store.listing(match)[""]) for match in matches]
        elif not listing:
            raise OptionError(f"{display_text(name)} does not exist or is empty; check the address")
        elif "" in listing:
            self._singles.append((name, listing[""]))
        else:
            self._folders.append((name.rstrip("/"), listing))

    def findings(self, suffix: str) -> Findings[StoredPicture]:
        """Return the pictures among the listed objects."""
        several = self._output is not None and len(self._folders) > 1
        for folder, listing in self._folders:
            relative_path = PurePosixPath(_name(folder)) if several else PurePosixPath()
            self._folder(folder, listing, self._output or _root(_beside(folder, suffix)), relative_path)
        self._files()
        pictures = sorted(self._pictures.values(), key=lambda picture: picture.location)
        return Findings(pictures, self._skipped)

    def _folder(self, top: str, listing: Mapping[str, Item], root: Root, relative_path: PurePosixPath) -> None:
        results = _results_in(top, listing)
        for key, item in sorted(listing.items()):
            location, path = join(top, key), relative_path / key
            if FOLDER in path.parts or (root.location != top and location.startswith(f"{root.location}/")):
                continue
            reason = self._reason_by_folder(path) or reason_by_name(path, self._filter)
            if reason is None and location in results:
                reason = OWN
            self._take(reason, StoredPicture(location, location, item, root, path))

    def _reason_by_folder(self, path: PurePosixPath) -> str | None:
        folders = [parent for parent in path.parents if parent.name]
        if any(folder.name.startswith(".") for folder in folders):
            return HIDDEN
        return EXCLUDED if any(self._filter.excludes(folder) for folder in folders) else None

    def _files(self) -> None:
        results: dict[str, set[str]] = {}
        for location, item in self._singles:
            folder, _, name = location.rpartition("/")
            if folder not in results:
                targets = read_records(folder, results_at(folder, deep=False)).targets
                results[folder] = set(_locations_of(folder, targets))
            reason = reason_by_name(PurePosixPath(name), self._filter)
            if reason is None and location in results[folder]:
                reason = OWN
            root = self._output or _root(folder)
            alongside = self._output is None
            self._take(reason, StoredPicture(location, location, item, root, PurePosixPath(name), alongside))

    def _take(self, reason: str | None, picture: StoredPicture) -> None:
        if reason is None:
            self._pictures.setdefault(picture.location, picture)
        else:
            self._skipped[reason] += 1


def _results_in(top: str, listing: Mapping[str, Item]) -> set[str]:
    """Return the locations of results below `top`; results of other folders in `top` itself may be upscaled further."""
    results: set[str] = set()
    for key in {key.rpartition(f"{FOLDER}/")[0].rstrip("/") for key in listing if f"/{FOLDER}/" in f"/{key}"}:
        folder = join(top, key) if key else top
        start = f"{key}/" if key else ""
        items = {name.removeprefix(start): item for name, item in listing.items() if name.startswith(start)}
        targets = read_records(folder, items).targets
        own = [target for target, source in targets.items() if key or source.startswith(f"{top}/")]
        results.update(_locations_of(folder, own))
    return results


def _locations_of(folder: str, keys: Sequence[str] | Mapping[str, str]) -> list[str]:
    return [join(folder, key) for key in keys]


def _name(folder: str) -> str:
    return folder.partition("://")[2].rpartition("/")[2]


def _beside(folder: str, suffix: str) -> str:
    """Return the default folder for the results of `folder`: its sibling with `suffix`."""
    if "/" not in folder.partition("://")[2]:
        raise OptionError(f"{display_text(folder)} cannot have a sibling folder; name one with -o")
    return f"{folder}_{suffix}"


@dataclass(frozen=True)
class StoreTask:
    """Hold one picture to upscale, in a form that can be sent to other machines.

    key            the target's path relative to the folder of the results.
    replaces       the bytes of our own result that exists at the target, or None.
    failed_before  a failure is recorded, to be removed after success.
    """

    plan: UpscalePlan
    picture: StoredPicture
    key: str
    replaces: int | None
    failed_before: bool

    @property
    def source(self) -> str:
        """The picture's name for messages."""
        return self.picture.name

    @property
    def target(self) -> str:
        """The result's name for messages."""
        return join(self.picture.root.name, self.key)

    @property
    def sheet(self) -> str:
        """The key of the comparison, beside the result."""
        path = PurePosixPath(self.key)
        return str(path.with_name(f"{path.stem}_compare.png"))

    def location_of(self, key: str) -> str:
        """Return the location of a key below the folder of the results."""
        return join(self.picture.root.location, key)


@dataclass
class StorePlan(Plan[StoreTask]):
    """Plan what run_on_ray() will do.

    records  what earlier runs recorded, by the folder of the results.
    to_note  the records that must be kept of refused pictures.
    """

    records: Mapping[Root, Records] = field(default_factory=dict)
    to_note: list[tuple[Root, Record]] = field(default_factory=list)

    @property
    def roots(self) -> list[str]:
        """The folders that results go to."""
        return [root.name for root in self.records]

    def disks(self) -> list[Disk]:
        """Return the disks that results go to and what they will take; object stores have no limit."""
        return disks_of([task.plan for task in self.tasks if not is_address(task.picture.root.location)])


def plan_store(options: FolderOptions, pool: UpscalerPool) -> StorePlan:
    """Find the pictures, read their headers, and decide what to do.

    Raises: what plan_folder() raises, and RemoteError if a store refuses.
    """
    job = job_key(options, pool)
    findings = find_stored(options, options.upscale.size.suffix(pool.scales))
    check_found(findings, options)
    roots = dict.fromkeys(picture.root for picture in findings.pictures)
    trees = {picture.root for picture in findings.pictures if not picture.alongside}
    listings = {root: results_at(root.location, deep=root in trees) for root in roots}
    records = {root: read_records(root.location, listing) for root, listing in listings.items()}
    plan = StorePlan(job, options, findings.skipped, records=records)
    plan.refused += [
        Failure(folder, f"{display_name(folder)} cannot be read: {why}") for folder, why in findings.unreadable
    ]
    present = {root: set(listing) for root, listing in listings.items()}
    sorter = _Sorter(plan, pool, findings.pictures, present)
    remaining = sorter.remaining(findings.pictures)
    for start in range(0, len(remaining), _AT_ONCE):
        sorter.sort(remaining[start : start + _AT_ONCE])
    for disk in plan.disks():
        disk.check()
    return plan


class _Sorter:
    """Decide about every picture and add it to the plan."""

    def __init__(
        self,
        plan: StorePlan,
        pool: UpscalerPool,
        pictures: Sequence[StoredPicture],
        present: Mapping[Root, set[str]],
    ) -> None:
        self._plan = plan
        self._options = plan.options.upscale
        self._selector = pool.selector
        self._present = present
        self._rules = Rules(plan, {store_of(picture.location).same(picture.location) for picture in pictures})
        self._values = name_values(self._options.size, pool)

    def remaining(self, pictures: Sequence[StoredPicture]) -> list[StoredPicture]:
        """Return the pictures that an earlier run has neither finished nor failed at for good."""
        return [picture for picture in pictures if not self._is_settled(picture)]

    def sort(self, pictures: Sequence[StoredPicture]) -> None:
        """Decide about pictures whose headers are fetched in parallel."""
        openers = store_of(pictures[0].location).openers({picture.location: picture.item for picture in pictures})
        for picture in pictures:
            source = RemoteFile(picture.name, openers[picture.location])
            self._rules.decide(picture.name, partial(self._task, picture, source), partial(self._note_failure, picture))

    def _is_settled(self, picture: StoredPicture) -> bool:
        earlier = self._plan.records[picture.root].outcome(picture.location, self._plan.job.id)
        if earlier is None or earlier.stamp != picture.item.stamp:
            return False
        target = join(picture.root.location, earlier.target)
        return self._rules.settle(picture.name, earlier, store_of(target).same(target))

    def _note_failure(self, picture: StoredPicture, error: MediaError) -> None:
        failed = Record("failed", self._plan.job.id, picture.location, picture.item.stamp, error=str(error))
        self._plan.to_note.append((picture.root, replace(failed, limits=self._rules.limits)))

    def _task(self, picture: StoredPicture, source: RemoteFile) -> StoreTask:
        task = self._planned(picture, source)
        keys = (task.key, task.sheet) if task.plan.options.compare else (task.key,)
        self._rules.check(task.source, [self._result_file(task, key) for key in keys], task.replaces is not None)
        return task

    def _planned(self, picture: StoredPicture, source: RemoteFile) -> StoreTask:
        """Plan one picture as if its target could be replaced; Rules.check() decides about that."""
        keyed = plan_result(Input(source), self._options, self._selector, partial(self._target, picture))
        assert keyed.target.path is not None
        key = PurePath(keyed.target.path).as_posix()
        root = picture.root.location
        path = keyed.target.path if is_address(root) else Path(join(root, key))
        plan = replace(keyed, source=Input(Path(picture.relative_path.name)), target=replace(keyed.target, path=path))
        records = self._plan.records[picture.root]
        earlier = records.outcome(picture.location, self._plan.job.id)
        failed = earlier is not None and earlier.state == "failed"
        return StoreTask(plan, picture, key, records.owned_size(key, picture.location), failed)

    def _target(
        self, picture: StoredPicture, source: Input, kind: Format, suffix: str, options: UpscaleOptions
    ) -> Target:
        """Return a target whose path is relative to the folder of the results."""
        named, template = Input(Path(picture.relative_path.name)), self._plan.options.name
        if picture.alongside and template is None:
            return decide_target(named, kind, suffix, replace(options, output=None))
        folder = Path(picture.relative_path.parent)
        return target_in(folder, template, self._values, named, kind, suffix, options)

    def _result_file(self, task: StoreTask, key: str) -> ResultFile:
        location = task.location_of(key)
        store, name = store_of(location), display_text(join(task.picture.root.name, key))
        store.check(location)
        same = store.same(location)
        return ResultFile(name, same, same, key in self._present[task.picture.root])
