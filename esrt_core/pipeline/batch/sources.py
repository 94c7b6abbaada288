"""Find the pictures in folders, files and globs, on disks and in object stores, without opening any."""

import glob
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath

from esrt_core.errors import OptionError
from esrt_core.files import TEMPORARY_MARK, display_text
from esrt_core.media.extensions import RAW_EXTENSIONS
from esrt_core.media.image.formats import format_for_path
from esrt_core.pipeline.batch.books import OTHER_ARCHIVES, WORK, check_readable, is_book
from esrt_core.pipeline.batch.faults import FAULT_LOG
from esrt_core.pipeline.batch.manifest import FOLDER, LOCK_NAME, NAME, logs_of
from esrt_core.pipeline.batch.storage import (
    NO_PICTURE,
    Item,
    Store,
    beside,
    is_address,
    join,
    named,
    plain_path,
    store_of,
)

# Why a file is skipped. The texts are keys of the JSON summary as well.
HIDDEN, RAW, OWN, EXCLUDED = "hidden", "camera RAW", "own result", "left out by --include or --exclude"
SKIPPED_SHEET, BOOK, OTHER_BOOK = (
    "comparison sheet",
    "comic archive, not read with --ray",
    "comic archive that is not CBZ",
)
_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Root:
    """Hold a folder of results: its absolute path or address, and its name for messages."""

    location: str
    name: str


def root_of(name: str) -> Root:
    """Return the folder of results of a name."""
    if is_address(name):
        return Root(name.rstrip("/"), name)
    return Root(str(Path(name).absolute()), str(Path(name)))


@dataclass(frozen=True)
class Found:
    """Hold a picture: its path or address as the user named it, the folder of its result, and its path below that.

    `alongside` is true if the result goes beside the picture, where it needs a new name. `book` is the archive that the
    picture is a page of, whose name begins its own.
    """

    name: str
    item: Item
    root: Root
    relative_path: PurePosixPath
    alongside: bool = False
    book: str = ""

    @property
    def source(self) -> Path | str:
        """The picture's file or address."""
        return named(self.name)

    @property
    def file(self) -> Path:
        """The file on this machine that holds the picture."""
        return Path(self.book or self.name)

    @property
    def location(self) -> str:
        """The picture's address or absolute path, which must be the same on all machines; of a page, its number."""
        if self.book:
            return str(Path(self.book).absolute() / self.relative_path)
        return self.name if is_address(self.name) else str(Path(self.name).absolute())


@dataclass
class Findings:
    """Collect pictures, comic archives, counts of skipped files by reason, and (path, reason) of what is unreadable."""

    pictures: list[Found] = field(default_factory=list)
    books: list[Found] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[tuple[Path | str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Filter:
    """Match globs against a relative path or its file name."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def includes(self, relative_path: PurePath) -> bool:
        """Return whether a picture is to be upscaled."""
        return not self.excludes(relative_path) and (not self.include or _matches(relative_path, self.include))

    def excludes(self, relative_path: PurePath) -> bool:
        """Return whether a picture or a whole folder is excluded."""
        return _matches(relative_path, self.exclude)


def find_sources(inputs: Iterable[str], output: str | None, suffix: str, filter_: Filter) -> Findings:
    """Return the pictures of all inputs, sorted by location.

    `output` is the folder of all results. Without it, the results of a folder go to a sibling folder whose name ends in
    `suffix`, and those of single files beside them.

    Raises: OptionError if an input does not exist or paths and addresses are mixed, RemoteError if a store refuses.
    """
    names = [plain_path(name) for name in inputs]
    if len({is_address(name) for name in names}) > 1:
        raise OptionError("local paths and remote addresses cannot be mixed; run the command once for each")
    search = _Search(filter_, None if output is None else root_of(plain_path(output)))
    matches = [(search.store(name), match) for name in names for match in _expanded(search.store(name), name)]
    folders: list[tuple[Store, str]] = []
    files: list[tuple[Store, str]] = []
    for store, name in matches:
        (folders if store.is_folder(name) else files).append((store, name))
    several = output is not None and len(folders) > 1
    for store, name in folders:
        base = PurePosixPath(Path(name).absolute().name if several else "")
        search.tree(store, name, search.output or root_of(beside(name, suffix)), base)
    for store, name in files:
        search.file(store, name)
    for found in (search.findings.pictures, search.findings.books):
        found.sort(key=lambda each: each.name.encode(errors="surrogateescape"))
    return search.findings


def _expanded(store: Store, name: str) -> Sequence[str]:
    """Return the folders and files that an input stands for.

    Raises: OptionError if there are none.
    """
    found = store.matches(name)
    if not found:
        what = "matches nothing" if glob.has_magic(name) else "does not exist"
        what = f"{what} or is empty; check the address" if is_address(name) else f"{what}; check the path"
        raise OptionError(f"{display_text(name)} {what}")
    return found


class _Search:
    """Collect pictures, every file once."""

    def __init__(self, filter_: Filter, output: Root | None) -> None:
        self.findings = Findings()
        self.filter = filter_
        self.output = output
        self._stores: dict[str, Store] = {}
        self._seen: set[str] = set()
        self._results: set[str] = set()  # keys, by Store.same(), of results of this program
        self._looked_into: set[tuple[str, bool]] = set()

    def store(self, name: str) -> Store:
        """Return the one store of a scheme."""
        scheme = name.partition("://")[0] if is_address(name) else ""
        return self._stores.setdefault(scheme, self._stores.get(scheme) or store_of(name))

    def tree(self, store: Store, top: str, root: Root, base: PurePosixPath) -> None:
        """Add the pictures of a folder; `base` is its path below the folder of results."""
        tree = _Tree(self, top, root, base)
        for path, item in store.tree(top, tree):
            if not tree.is_ours(path):
                self.take(store, located(top, path), item, root, base / path, alongside=False)

    def file(self, store: Store, name: str) -> None:
        """Add a single file.

        Raises: OptionError if it is an archive or a document that cannot be read.
        """
        check_readable(name)
        folder = name.rpartition("/")[0] if is_address(name) else str(Path(name).parent)
        self.look_into(folder, inside_only=False)
        try:
            item = store.item(name)
        except OSError as error:
            self.findings.unreadable.append((named(name), error.strerror or str(error)))
            return
        alongside = self.output is None
        self.take(store, name, item, self.output or root_of(folder), PurePosixPath(PurePath(name).name), alongside)

    def take(self, store: Store, name: str, item: Item | str, root: Root, path: PurePosixPath, alongside: bool) -> None:
        """Add one file, or count why it is skipped."""
        if name in self._seen:
            return
        self._seen.add(name)
        reason = reason_by_name(path, self.filter)
        if reason is None and self._results and store.same(name) in self._results:
            reason = OWN
        if reason is not None or isinstance(item, str):
            self.findings.skipped[reason or str(item)] += 1
        else:
            kind = self.findings.books if is_book(path.name) else self.findings.pictures
            kind.append(Found(name, item, root, path, alongside))

    def look_into(self, folder: str, inside_only: bool) -> None:
        """Remember what this program wrote into a folder, or only what it wrote of pictures in that folder."""
        if (folder, inside_only) in self._looked_into:
            return
        self._looked_into.add((folder, inside_only))
        store = self.store(folder)
        for log in logs_of(folder):
            targets = [target for target, source in log.targets.items() if not inside_only or log.has_inside(source)]
            self._results.update(store.same(join(folder, target)) for target in targets)


class _Tree:
    """Decide which folders below one input are looked into."""

    def __init__(self, search: _Search, top: str, root: Root, base: PurePosixPath) -> None:
        self._search = search
        self._top = top
        self._root = root
        self._base = base
        self._store = search.store(top)
        self._is_top_output = search.output is not None and self._is_output(top)

    def is_ours(self, path: PurePosixPath) -> bool:
        """Return whether a path is this program's own file, which is not even counted as skipped."""
        name = path.name
        temporary = name.startswith(".") and (TEMPORARY_MARK in name or name.endswith(WORK))
        return temporary or name in (NAME, LOCK_NAME, FOLDER, FAULT_LOG)

    def enters(self, folder: PurePosixPath) -> bool:
        """Return whether to look into a folder; count it if it is hidden or excluded."""
        if self.is_ours(folder):
            return False
        reason = HIDDEN if folder.name.startswith(".") else None
        if reason is None and self._search.filter.excludes(self._base / folder):
            reason = EXCLUDED
        if reason is not None:
            self._search.findings.skipped[reason] += 1
            return False
        return self._search.output is None or not self._is_output(located(self._top, folder))

    def entered(self, folder: PurePosixPath, names: Collection[str]) -> None:
        """Look for results of earlier runs; those of other folders in the top itself may be upscaled further."""
        if NAME in names or FOLDER in names:
            is_top = not folder.name and not self._is_top_output
            self._search.look_into(located(self._top, folder), inside_only=is_top)

    def unreadable(self, path: PurePosixPath, why: str) -> None:
        """Record a folder or a file whose status cannot be read."""
        self._search.findings.unreadable.append((named(located(self._top, path)), why))

    def _is_output(self, folder: str) -> bool:
        root = self._root.location
        return is_address(folder) == is_address(root) and self._store.same(located(folder, PurePosixPath())) == (
            self._store.same(root)
        )


def located(top: str, path: PurePosixPath) -> str:
    """Return the location of a path below a folder."""
    if is_address(top):
        return join(top, str(path)) if path.name else top.rstrip("/")
    return str(Path(top, path))


def reason_by_name(relative_path: PurePath, filter_: Filter) -> str | None:
    """Return why a file is skipped by its path alone, or None if it may be a picture."""
    name = Path(relative_path.name)
    if name.name.startswith(".") or name.name.lower() in _SYSTEM_NAMES:
        return HIDDEN
    if not filter_.includes(relative_path):
        return EXCLUDED
    if format_for_path(name) is not None or is_book(name.name):
        return None
    if name.suffix.lower() in OTHER_ARCHIVES:
        return OTHER_BOOK
    return RAW if name.suffix.lower() in RAW_EXTENSIONS else NO_PICTURE


def _matches(relative_path: PurePath, patterns: Iterable[str]) -> bool:
    return any(
        fnmatchcase(text, pattern) for pattern in patterns for text in (relative_path.as_posix(), relative_path.name)
    )
