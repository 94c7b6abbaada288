"""Storage behind a common interface: the local file system here, object stores in object_store.

Local paths do not go through fsspec: its local file system changes names such as `~/a.png`.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from esrt_core.errors import OptionError, RemoteError, TargetError
from esrt_core.files import atomic_write, check_target, display_name, display_text, make_folder, target_key
from esrt_core.media.image.picture import Source

# Why a name is skipped. The texts are keys of the JSON summary as well.
NO_PICTURE, LINK = "no picture", "link that leads nowhere new"


@dataclass(frozen=True)
class Item:
    """Describe a stored object: its size in bytes, and a stamp that changes with its content."""

    size: int
    stamp: str


class Visitor(Protocol):
    """Decide about the folders of a tree; a folder is the path relative to the top of the tree."""

    def enters(self, folder: PurePosixPath) -> bool:
        """Return whether to look into a folder."""

    def entered(self, folder: PurePosixPath, names: Collection[str]) -> None:
        """Handle the names in a folder, the top included, before its files."""

    def unreadable(self, path: PurePosixPath, why: str) -> None:
        """Handle a folder or a file that cannot be looked at."""


class Store(Protocol):
    """Find, read and write objects by location: a path or an address.

    A store remembers for its lifetime which folders it has shown.
    """

    def matches(self, pattern: str) -> list[str]:
        """Return the folder or object of that name, else what a glob matches; empty if there is nothing."""

    def is_folder(self, location: str) -> bool:
        """Return whether a match is a folder."""

    def tree(self, top: str, visitor: Visitor) -> Iterator[tuple[PurePosixPath, Item | str]]:
        """Yield what lies below a folder by relative path, links last: an item, or why it is no file."""

    def item(self, location: str) -> Item | str:
        """Return the object of a match, or why it is no file."""

    def listing(self, folder: str) -> Mapping[str, Item]:
        """Return the objects below a folder by key, their relative path with slashes; empty if it does not exist."""

    def directly(self, folder: str) -> Mapping[str, Item]:
        """Return the objects directly in a folder."""

    def read(self, location: str) -> bytes:
        """Return an object's content."""

    def read_all(self, locations: Sequence[str]) -> list[bytes | None]:
        """Return the content of many small objects, None for those that no longer exist."""

    def sources(self, items: Mapping[str, Item], names: Sequence[str]) -> list[Source]:
        """Return the pictures at some locations, under these names for messages, to read no more than their headers."""

    def write(self, location: str, content: bytes) -> None:
        """Write a whole object, all or nothing."""

    def append(self, location: str, content: bytes) -> None:
        """Append to an object, or begin it; for one writer."""

    def remove(self, location: str) -> None:
        """Remove an object if it exists."""

    def check(self, location: str) -> None:
        """Raise TargetError if a location certainly cannot be written."""

    def same(self, location: str) -> str:
        """Return a key that is equal for two locations exactly when one would overwrite the other."""


def is_address(location: str) -> bool:
    """Return whether a location is an address in an object store rather than a path."""
    return "://" in location


def plain_path(location: str) -> str:
    """Return the path of a file:// address, and anything else unchanged."""
    return location.removeprefix("file://")


def named(location: str) -> Path | str:
    """Return a location for users of Python: a path, or the address itself."""
    return location if is_address(location) else Path(location)


def beside(folder: str, suffix: str) -> str:
    """Return the default folder for the results of `folder`: its sibling with `suffix`.

    Raises: OptionError if it has none.
    """
    if is_address(folder):
        parent, _, name = folder.rstrip("/").partition("://")[2].rpartition("/")
        sibling = f"{folder.rstrip('/')}_{suffix}" if parent and name else ""
    else:
        path = Path(folder)
        path = path if path.name not in ("", "..") else Path(os.path.abspath(path))  # noqa: PTH100 (keeps links)
        sibling = str(path.with_name(f"{path.name}_{suffix}")) if path.name else ""
    if not sibling:
        raise OptionError(f"{display_text(folder)} cannot have a sibling folder; name one with -o")
    return sibling


def join(folder: str, key: str) -> str:
    """Return the location of a key below a folder."""
    return f"{folder.rstrip('/')}/{key}" if is_address(folder) else os.path.join(folder, *key.split("/"))  # noqa: PTH118


class LocalStore:
    """Store objects in files that every machine sees under the same path.

    Raises: RemoteError if a file cannot be read.
    """

    def __init__(self) -> None:
        self._folders: set[tuple[int, int]] = set()
        self._files: set[tuple[int, int]] = set()

    def matches(self, pattern: str) -> list[str]:
        """Return the path if something lies there, else the paths that the glob matches."""
        if os.path.lexists(pattern):
            return [pattern]
        return sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207 (keeps "a/../b")

    def is_folder(self, location: str) -> bool:
        """Return whether a path is a folder."""
        return os.path.isdir(location)  # noqa: PTH112 (Path.is_dir raises for long names)

    def tree(self, top: str, visitor: Visitor) -> Iterator[tuple[PurePosixPath, Item | str]]:
        """Yield the files below a folder: first what really lies there, then the targets of links.

        Every folder is shown once, even if several links lead to it.
        """
        waiting, links = [PurePosixPath()], list[PurePosixPath]()
        file_links: list[PurePosixPath] = []
        while waiting or links:
            folder = waiting.pop() if waiting else links.pop()
            try:
                entries = self._entries(Path(top, folder))
            except OSError as error:
                visitor.unreadable(folder, error.strerror or str(error))
                continue
            visitor.entered(folder, [entry.name for entry in entries])
            for entry in entries:
                path = folder / entry.name
                if _is_folder(entry):
                    if visitor.enters(path):
                        (links if entry.is_symlink() else waiting).append(path)
                elif entry.is_symlink():
                    file_links.append(path)
                else:
                    yield from self._file(top, path, visitor)
        for path in sorted(file_links):
            yield from self._file(top, path, visitor)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return what lies in a folder, nothing if it was shown before."""
        status = folder.stat()
        key = (status.st_dev, status.st_ino)
        if key in self._folders:
            return []
        self._folders.add(key)
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))

    def _file(self, top: str, path: PurePosixPath, visitor: Visitor) -> Iterator[tuple[PurePosixPath, Item | str]]:
        try:
            yield path, self.item(os.path.join(top, path))  # noqa: PTH118 (keeps "./a" as it is)
        except OSError as error:
            visitor.unreadable(path, error.strerror or str(error))

    def item(self, location: str) -> Item | str:
        """Return the file at a path; a link only if it leads to one that was not shown before."""
        path = Path(location)
        link = path.is_symlink()
        try:
            status = path.stat()
        except OSError:
            if link:
                return LINK
            raise
        key = (status.st_dev, status.st_ino)
        if not stat.S_ISREG(status.st_mode):
            return NO_PICTURE
        if link and key in self._files:
            return LINK
        self._files.add(key)
        return Item(status.st_size, file_stamp(status))

    def listing(self, folder: str) -> Mapping[str, Item]:
        """Return the files below a folder."""
        return {
            Path(top, name).relative_to(folder).as_posix(): item
            for top, _, names in os.walk(folder)
            for name in names
            if (item := _local_item(Path(top, name))) is not None
        }

    def directly(self, folder: str) -> Mapping[str, Item]:
        """Return the files in a folder itself."""
        try:
            names = os.listdir(folder)  # noqa: PTH208 (a folder can hold very many names)
        except OSError:  # missing or unreadable: it holds nothing of ours
            return {}
        items = {name: _local_item(Path(folder, name)) for name in names}
        return {name: item for name, item in items.items() if item is not None}

    def read(self, location: str) -> bytes:
        """Return a file's content."""
        try:
            return Path(location).read_bytes()
        except OSError as error:
            raise RemoteError(f"{display_name(Path(location))} cannot be read: {error.strerror}") from error

    def read_all(self, locations: Sequence[str]) -> list[bytes | None]:
        """Return the content of files, None for those that no longer exist."""
        return [self.read(location) if os.path.lexists(location) else None for location in locations]

    def sources(self, items: Mapping[str, Item], names: Sequence[str]) -> list[Source]:
        """Return the files under the names by which the user knows them."""
        return [Path(name) for name in names]

    def write(self, location: str, content: bytes) -> None:
        """Write a temporary file beside the location and rename it.

        Raises: TargetError if the file system refuses.
        """
        make_folder(Path(location).parent)
        with atomic_write(Path(location), overwrite=True) as temporary:
            temporary.write_bytes(content)

    def append(self, location: str, content: bytes) -> None:
        """Append to a file, or begin it.

        Raises: TargetError if the file system refuses.
        """
        try:
            with Path(location).open("ab") as file:
                file.write(content)
        except OSError as error:
            raise TargetError(f"{display_name(Path(location))} cannot be written: {error.strerror}") from error

    def remove(self, location: str) -> None:
        """Remove a file if it exists."""
        Path(location).unlink(missing_ok=True)

    def check(self, location: str) -> None:
        """Raise TargetError if a path cannot be written."""
        check_target(Path(location), overwrite=True, sources=(), may_make_folder=True)

    def same(self, location: str) -> str:
        """Return a key of the path: links resolved, and case folded on a case-blind disk."""
        return target_key(Path(location))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _local_item(path: Path) -> Item | None:
    try:
        status = path.stat()
    except OSError:  # a dangling link
        return None
    return Item(status.st_size, file_stamp(status)) if stat.S_ISREG(status.st_mode) else None


def file_stamp(status: os.stat_result) -> str:
    """Return a stamp that changes with a file's content."""
    return f"{status.st_size} {status.st_mtime_ns}"


def store_of(location: str) -> Store:
    """Return the store of a location.

    Raises: RemoteError if the package for its scheme is missing.
    """
    if not is_address(location):
        return LocalStore()
    from esrt_core.pipeline.batch.object_store import ObjectStore  # only for addresses

    return ObjectStore(location.partition("://")[0])
