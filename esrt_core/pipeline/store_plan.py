"""What many machines will do for many pictures, decided here and now, as for a folder of one machine."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

from esrt_core.errors import EsrtError, MediaError
from esrt_core.files import display_name, display_text
from esrt_core.media.formats import Format
from esrt_core.media.picture import Distant
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_disk import Disk, disks_of
from esrt_core.pipeline.folder_job import FolderJob, job_of, limits_text
from esrt_core.pipeline.folder_names import target_in
from esrt_core.pipeline.folder_options import FolderOptions
from esrt_core.pipeline.folder_plan import Failure, both_become, check_found, is_input, name_values, not_ours
from esrt_core.pipeline.inputs import Input
from esrt_core.pipeline.options import UpscaleOptions
from esrt_core.pipeline.plan import UpscalePlan, plan_result
from esrt_core.pipeline.sizes import AlreadyLargeError
from esrt_core.pipeline.store import is_address, join
from esrt_core.pipeline.store_sources import Root, StoredPicture, find_stored, read_records, results_at
from esrt_core.pipeline.stores import store_of
from esrt_core.pipeline.targets import Target, decide_target
from esrt_core.records import Record, Records

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

    job: FolderJob
    options: FolderOptions
    records: Mapping[Root, Records]
    passed_over: Counter[str]
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


def plan_store(options: FolderOptions, engines: Engines) -> StorePlan:
    """Find the pictures, look at their headers, and decide what is to be done.

    Raise what plan_folder() raises, and RemoteError where a store says no.
    """
    job = job_of(options, engines)
    findings = find_stored(options, options.upscale.size.suffix(engines.scales))
    check_found(findings, options)
    roots = dict.fromkeys(picture.root for picture in findings.pictures)
    trees = {picture.root for picture in findings.pictures if not picture.beside}
    listings = {root: results_at(root.place, deep=root in trees) for root in roots}
    records = {root: read_records(root.place, listing) for root, listing in listings.items()}
    plan = StorePlan(job, options, records, findings.passed_over)
    plan.refused += [
        Failure(folder, f"{display_name(folder)} cannot be read: {why}") for folder, why in findings.unreadable
    ]
    present = {root: set(listing) for root, listing in listings.items()}
    sorter = _Sorter(plan, engines, findings.pictures, present)
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
        engines: Engines,
        pictures: Sequence[StoredPicture],
        present: Mapping[Root, set[str]],
    ) -> None:
        self._plan = plan
        self._asked = plan.options.upscale
        self._lineups = engines.lineups
        self._present = present
        self._targets: dict[str, str] = {}
        self._sources = {store_of(picture.place).same(picture.place) for picture in pictures}
        self._limits = limits_text(self._asked.limits)
        self._values = name_values(self._asked.size, engines)

    def unsettled(self, pictures: Sequence[StoredPicture]) -> list[StoredPicture]:
        """Return the pictures that an earlier run has neither done nor failed at for good."""
        return [picture for picture in pictures if not self._settled(picture)]

    def sort(self, pictures: Sequence[StoredPicture]) -> None:
        """Decide about pictures whose headers are fetched together."""
        openers = store_of(pictures[0].place).openers({picture.place: picture.item for picture in pictures})
        for picture in pictures:
            try:
                task = self._checked(self._planned(picture, Distant(picture.name, openers[picture.place])))
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

    def _planned(self, picture: StoredPicture, source: Distant) -> StoreTask:
        """Plan one picture as if whatever lies at its target may be replaced."""
        keyed = plan_result(Input(source), self._asked, self._lineups, partial(self._target, picture))
        assert keyed.target.path is not None
        key = PurePath(keyed.target.path).as_posix()
        root = picture.root.place
        path = keyed.target.path if is_address(root) else Path(join(root, key))
        plan = replace(keyed, source=Input(Path(picture.below.name)), target=replace(keyed.target, path=path))
        records = self._plan.records[picture.root]
        earlier = records.outcome(picture.place, self._plan.job.id)
        failed = earlier is not None and earlier.state == "failed"
        return StoreTask(plan, picture, key, records.owned_size(key, picture.place), failed)

    def _target(
        self, picture: StoredPicture, source: Input, kind: Format, suffix: str, options: UpscaleOptions
    ) -> Target:
        """Return a target whose path goes on from the folder of the results."""
        named, template = Input(Path(picture.below.name)), self._plan.options.name
        if picture.beside and template is None:
            return decide_target(named, kind, suffix, replace(options, output=None))
        folder = Path(picture.below.parent)
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
