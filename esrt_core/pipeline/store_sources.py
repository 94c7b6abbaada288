"""The pictures that addresses and paths mean to many machines: the rules are those of a folder of one machine."""

import glob
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from esrt_core.errors import OptionError
from esrt_core.files import display_text
from esrt_core.pipeline.folder_options import FolderOptions
from esrt_core.pipeline.folder_sources import (
    EXCLUDED,
    HIDDEN,
    OWN,
    Filter,
    Findings,
    Found,
    find_sources,
    reason_by_name,
)
from esrt_core.pipeline.local_store import file_stamp
from esrt_core.pipeline.object_store import ObjectStore
from esrt_core.pipeline.store import Item, is_address, join, plain_path
from esrt_core.pipeline.stores import store_of
from esrt_core.records import FOLDER, Records, is_record, parse_record


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
    below: PurePath
    beside: bool = False


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
    findings = Findings[StoredPicture](passed_over=found.passed_over, unreadable=found.unreadable)
    for picture in found.pictures:
        try:
            status = picture.source.stat()
        except OSError as error:
            findings.unreadable.append((picture.source, error.strerror or str(error)))
            continue
        item = Item(status.st_size, file_stamp(status))
        root = _root(str(picture.root) if output is None else output)
        place, name = str(picture.source.absolute()), str(picture.source)
        findings.pictures.append(StoredPicture(place, name, item, root, picture.below, picture.beside))
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
            below = PurePosixPath(_name(folder)) if several else PurePosixPath()
            self._folder(folder, listing, self._output or _root(_beside(folder, suffix)), below)
        self._files()
        pictures = sorted(self._pictures.values(), key=lambda picture: picture.place)
        return Findings(pictures, self._passed_over)

    def _folder(self, top: str, listing: Mapping[str, Item], root: Root, below: PurePosixPath) -> None:
        results = _results_in(top, listing)
        for key, item in sorted(listing.items()):
            place, path = join(top, key), below / key
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
        return EXCLUDED if any(self._wanted.drops(folder) for folder in folders) else None

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
            beside = self._output is None
            self._take(reason, StoredPicture(place, place, item, root, PurePosixPath(name), beside))

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
