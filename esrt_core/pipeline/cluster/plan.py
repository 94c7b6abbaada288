"""The pictures that addresses and paths mean to many machines: the rules are those of a folder of one machine.

What many machines will do for many pictures, decided here and now, as for a folder of one machine.
"""

import glob
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

from esrt_core.errors import EsrtError, MediaError, OptionError
from esrt_core.files import display_name, display_text
from esrt_core.media.image.formats import Format
from esrt_core.media.image.picture import RemoteFile
from esrt_core.pipeline.batch.manifest import FOLDER, Record, Records, is_record, parse_record
from esrt_core.pipeline.batch.options import FolderOptions, target_in
from esrt_core.pipeline.batch.outputs import JobKey, job_key, limits_text
from esrt_core.pipeline.batch.plan import (
    Disk,
    Failure,
    both_become,
    check_found,
    disks_of,
    is_input,
    name_values,
    not_ours,
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
from esrt_core.pipeline.sizes import AlreadyLargeError
from esrt_core.selection import UpscalerPool


@dataclass(frozen=True)
class Root:
    """Hold a folder of results: its absolute path or address, and what messages call it."""

    place: str
    name: str


@dataclass(frozen=True)
class StoredPicture:
    """Hold one picture: its absolute path or address, what messages call it, and what find_sources() says of it."""

    place: str
    name: str
    item: Item
    root: Root
    relative_path: PurePath
    alongside: bool = False


def find_stored(options: FolderOptions, suffix: str) -> Findings[StoredPicture]:
    """Return the pictures of all inputs, in order.

    Raise OptionError for an input that is not there, or for paths and addresses together, RemoteError for a store that
    says no.
    """
    inputs = [plain_path(name) for name in options.inputs]
    output = None if options.output is None else plain_path(options.output)
    wanted = Filter(options.include, options.exclude)
    distant = [is_address(name) for name in inputs]
    if not any(distant):
        return _on_this_machine(find_sources(inputs, None if output is None else Path(output), suffix, wanted), output)
    if not all(distant):
        raise OptionError("folders of this machine and addresses cannot go together; give them one after the other")
    walk = _Listing(wanted, None if output is None else _root(output))
    for name in inputs:
        walk.look_at(name)
    return walk.findings(suffix)


def read_records(folder: str, items: Mapping[str, Item]) -> Records:
    """Return what earlier runs noted in a folder of results that holds `items`."""
    contents = store_of(folder).read_all([join(folder, key) for key in items if is_record(key)])
    records = [parse_record(content) for content in contents if content is not None]
    return Records([record for record in records if record], {key: item.size for key, item in items.items()})


def results_at(folder: str, deep: bool) -> dict[str, Item]:
    """Return what lies in a folder of results: all of its tree, or what is in it directly, and the records."""
    store = store_of(folder)
    if deep:
        return dict(store.listing(folder))
    records = store.listing(join(folder, FOLDER))
    return {**store.directly(folder), **{f"{FOLDER}/{key}": item for key, item in records.items()}}


def _on_this_machine(found: Findings[Found], output: str | None) -> Findings[StoredPicture]:
    """Give every file its absolute path, under which the other machines have to see it too."""
    findings = Findings[StoredPicture](skipped=found.skipped, unreadable=found.unreadable)
    for picture in found.pictures:
        try:
            status = picture.source.stat()
        except OSError as error:
            findings.unreadable.append((picture.source, error.strerror or str(error)))
            continue
        item = Item(status.st_size, file_stamp(status))
        root = _root(str(picture.root) if output is None else output)
        place, name = str(picture.source.absolute()), str(picture.source)
        findings.pictures.append(StoredPicture(place, name, item, root, picture.relative_path, picture.alongside))
    return findings


def _root(place: str) -> Root:
    return Root(place.rstrip("/") if is_address(place) else str(Path(place).absolute()), place)


class _Listing:
    """Go through the listings of addresses; every object is taken once."""

    def __init__(self, wanted: Filter, output: Root | None) -> None:
        self._wanted = wanted
        self._output = output
        self._passed_over: Counter[str] = Counter()
        self._pictures: dict[str, StoredPicture] = {}
        self._folders: list[tuple[str, Mapping[str, Item]]] = []
        self._singles: list[tuple[str, Item]] = []

    def look_at(self, name: str) -> None:
        """List what one input names: a folder, an object, or what a glob matches."""
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
        """Return the pictures among what was listed."""
        several = self._output is not None and len(self._folders) > 1
        for folder, listing in self._folders:
            relative_path = PurePosixPath(_name(folder)) if several else PurePosixPath()
            self._folder(folder, listing, self._output or _root(_beside(folder, suffix)), relative_path)
        self._files()
        pictures = sorted(self._pictures.values(), key=lambda picture: picture.place)
        return Findings(pictures, self._passed_over)

    def _folder(self, top: str, listing: Mapping[str, Item], root: Root, relative_path: PurePosixPath) -> None:
        results = _results_in(top, listing)
        for key, item in sorted(listing.items()):
            place, path = join(top, key), relative_path / key
            if FOLDER in path.parts or (root.place != top and place.startswith(f"{root.place}/")):
                continue
            reason = self._reason_by_folder(path) or reason_by_name(path, self._wanted)
            if reason is None and place in results:
                reason = OWN
            self._take(reason, StoredPicture(place, place, item, root, path))

    def _reason_by_folder(self, path: PurePosixPath) -> str | None:
        folders = [parent for parent in path.parents if parent.name]
        if any(folder.name.startswith(".") for folder in folders):
            return HIDDEN
        return EXCLUDED if any(self._wanted.excludes(folder) for folder in folders) else None

    def _files(self) -> None:
        results: dict[str, set[str]] = {}
        for place, item in self._singles:
            folder, _, name = place.rpartition("/")
            if folder not in results:
                targets = read_records(folder, results_at(folder, deep=False)).targets
                results[folder] = set(_places_of(folder, targets))
            reason = reason_by_name(PurePosixPath(name), self._wanted)
            if reason is None and place in results[folder]:
                reason = OWN
            root = self._output or _root(folder)
            alongside = self._output is None
            self._take(reason, StoredPicture(place, place, item, root, PurePosixPath(name), alongside))

    def _take(self, reason: str | None, picture: StoredPicture) -> None:
        if reason is None:
            self._pictures.setdefault(picture.place, picture)
        else:
            self._passed_over[reason] += 1


def _results_in(top: str, listing: Mapping[str, Item]) -> set[str]:
    """Return the places of what was written below `top`; results of other folders that lie in it itself may go in."""
    results: set[str] = set()
    for key in {key.rpartition(f"{FOLDER}/")[0].rstrip("/") for key in listing if f"/{FOLDER}/" in f"/{key}"}:
        folder = join(top, key) if key else top
        start = f"{key}/" if key else ""
        items = {name.removeprefix(start): item for name, item in listing.items() if name.startswith(start)}
        targets = read_records(folder, items).targets
        own = [target for target, source in targets.items() if key or source.startswith(f"{top}/")]
        results.update(_places_of(folder, own))
    return results


def _places_of(folder: str, keys: Sequence[str] | Mapping[str, str]) -> list[str]:
    return [join(folder, key) for key in keys]


def _name(folder: str) -> str:
    return folder.partition("://")[2].rpartition("/")[2]


def _beside(folder: str, suffix: str) -> str:
    """Return where a folder's results go by default."""
    if "/" not in folder.partition("://")[2]:
        raise OptionError(f"{display_text(folder)} has no folder beside it; name one with -o")
    return f"{folder}_{suffix}"


_AT_ONCE = 64  # pictures whose headers are fetched together


@dataclass(frozen=True)
class StoreTask:
    """Hold one picture to do, in a form that goes to other machines.

    place, target  absolute paths or addresses; `key` is the target's below the results' folder, `root`.
    replaces       bytes of our own result that lies at the target; `failed_before` says that a failure is recorded.
    """

    plan: UpscalePlan
    picture: StoredPicture
    key: str
    replaces: int | None
    failed_before: bool

    @property
    def source(self) -> str:
        """What messages call the picture."""
        return self.picture.name

    @property
    def target(self) -> str:
        """What messages call the result."""
        return join(self.picture.root.name, self.key)

    @property
    def sheet(self) -> str:
        """The key of the comparison, beside the result."""
        path = PurePosixPath(self.key)
        return str(path.with_name(f"{path.stem}_compare.png"))

    def place_of(self, key: str) -> str:
        """Return where a key of the results' folder lies."""
        return join(self.picture.root.place, key)


@dataclass
class StorePlan:
    """Hold what run_on_ray() carries out, and what it leaves alone, as FolderPlan does."""

    job: JobKey
    options: FolderOptions
    records: Mapping[Root, Records]
    skipped: Counter[str]
    tasks: list[StoreTask] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    large: list[str] = field(default_factory=list)
    failed_before: list[Failure] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)
    to_note: list[tuple[Root, Record]] = field(default_factory=list)

    @property
    def roots(self) -> list[str]:
        """The folders that results go to."""
        return [root.name for root in self.records]

    @property
    def found(self) -> int:
        """Number of pictures found."""
        failures = len(self.failed_before) + len(self.refused)
        return len(self.tasks) + len(self.done) + len(self.large) + failures

    def disks(self) -> list[Disk]:
        """Return the disks that results go to, and what they will take; object stores have none."""
        return disks_of([task.plan for task in self.tasks if not is_address(task.picture.root.place)])


def plan_store(options: FolderOptions, pool: UpscalerPool) -> StorePlan:
    """Find the pictures, look at their headers, and decide what is to be done.

    Raise what plan_folder() raises, and RemoteError where a store says no.
    """
    job = job_key(options, pool)
    findings = find_stored(options, options.upscale.size.suffix(pool.scales))
    check_found(findings, options)
    roots = dict.fromkeys(picture.root for picture in findings.pictures)
    trees = {picture.root for picture in findings.pictures if not picture.alongside}
    listings = {root: results_at(root.place, deep=root in trees) for root in roots}
    records = {root: read_records(root.place, listing) for root, listing in listings.items()}
    plan = StorePlan(job, options, records, findings.skipped)
    plan.refused += [
        Failure(folder, f"{display_name(folder)} cannot be read: {why}") for folder, why in findings.unreadable
    ]
    present = {root: set(listing) for root, listing in listings.items()}
    sorter = _Sorter(plan, pool, findings.pictures, present)
    unsettled = sorter.unsettled(findings.pictures)
    for start in range(0, len(unsettled), _AT_ONCE):
        sorter.sort(unsettled[start : start + _AT_ONCE])
    for disk in plan.disks():
        disk.check()
    return plan


class _Sorter:
    """Put every picture where it belongs in the plan."""

    def __init__(
        self,
        plan: StorePlan,
        pool: UpscalerPool,
        pictures: Sequence[StoredPicture],
        present: Mapping[Root, set[str]],
    ) -> None:
        self._plan = plan
        self._asked = plan.options.upscale
        self._lineups = pool.selector
        self._present = present
        self._targets: dict[str, str] = {}
        self._sources = {store_of(picture.place).same(picture.place) for picture in pictures}
        self._limits = limits_text(self._asked.limits)
        self._values = name_values(self._asked.size, pool)

    def unsettled(self, pictures: Sequence[StoredPicture]) -> list[StoredPicture]:
        """Return the pictures that an earlier run has neither done nor failed at for good."""
        return [picture for picture in pictures if not self._settled(picture)]

    def sort(self, pictures: Sequence[StoredPicture]) -> None:
        """Decide about pictures whose headers are fetched together."""
        openers = store_of(pictures[0].place).openers({picture.place: picture.item for picture in pictures})
        for picture in pictures:
            try:
                task = self._checked(self._planned(picture, RemoteFile(picture.name, openers[picture.place])))
            except AlreadyLargeError:
                self._plan.large.append(picture.name)
            except EsrtError as error:
                self._refuse(picture, error)
            else:
                self._plan.tasks.append(task)

    def _settled(self, picture: StoredPicture) -> bool:
        plan = self._plan
        earlier = plan.records[picture.root].outcome(picture.place, plan.job.id)
        if earlier is None or earlier.stamp != picture.item.stamp:
            return False
        if earlier.state == "done":
            plan.done.append(picture.name)
            place = join(picture.root.place, earlier.target)
            self._targets[store_of(place).same(place)] = picture.name
            return True
        if plan.options.retry_failed or earlier.limits != self._limits:
            return False
        plan.failed_before.append(Failure(picture.name, earlier.error))
        return True

    def _refuse(self, picture: StoredPicture, error: EsrtError) -> None:
        plan = self._plan
        plan.refused.append(Failure(picture.name, str(error)))
        if isinstance(error, MediaError):
            failed = Record("failed", plan.job.id, picture.place, picture.item.stamp, error=str(error))
            plan.to_note.append((picture.root, replace(failed, limits=self._limits)))

    def _planned(self, picture: StoredPicture, source: RemoteFile) -> StoreTask:
        """Plan one picture as if whatever lies at its target may be replaced."""
        keyed = plan_result(Input(source), self._asked, self._lineups, partial(self._target, picture))
        assert keyed.target.path is not None
        key = PurePath(keyed.target.path).as_posix()
        root = picture.root.place
        path = keyed.target.path if is_address(root) else Path(join(root, key))
        plan = replace(keyed, source=Input(Path(picture.relative_path.name)), target=replace(keyed.target, path=path))
        records = self._plan.records[picture.root]
        earlier = records.outcome(picture.place, self._plan.job.id)
        failed = earlier is not None and earlier.state == "failed"
        return StoreTask(plan, picture, key, records.owned_size(key, picture.place), failed)

    def _target(
        self, picture: StoredPicture, source: Input, kind: Format, suffix: str, options: UpscaleOptions
    ) -> Target:
        """Return a target whose path goes on from the folder of the results."""
        named, template = Input(Path(picture.relative_path.name)), self._plan.options.name
        if picture.alongside and template is None:
            return decide_target(named, kind, suffix, replace(options, output=None))
        folder = Path(picture.relative_path.parent)
        return target_in(folder, template, self._values, named, kind, suffix, options)

    def _checked(self, task: StoreTask) -> StoreTask:
        """Refuse a target that is another picture's, an input, or somebody else's; our own may be replaced."""
        place = task.place_of(task.key)
        store, name = store_of(place), display_text(task.target)
        same = store.same(place)
        if same in self._targets:
            raise both_become(display_text(task.source), display_text(self._targets[same]), name)
        self._targets[same] = task.source
        for key in (task.key, task.sheet) if task.plan.options.compare else (task.key,):
            each, shown = task.place_of(key), display_text(join(task.picture.root.name, key))
            store.check(each)
            if store.same(each) in self._sources:
                raise is_input(shown)
            if key in self._present[task.picture.root] and task.replaces is None and not self._asked.overwrite:
                raise not_ours(shown)
        return task
