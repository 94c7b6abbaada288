"""Store: a folder of this machine or of an object store, in the few steps that many machines need of it.

LocalStore: the disks that every machine sees.

ObjectStore: S3, Google Cloud Storage and whatever else fsspec reaches, with errors in one line.

Which store a place lies in.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from esrt_core.errors import EsrtError, RemoteError, TargetError
from esrt_core.files import atomic_write, check_target, display_name, display_text, make_folder, target_key


@dataclass(frozen=True)
class Item:
    """Describe a stored object: its bytes, and a stamp that changes with its content."""

    size: int
    stamp: str


class Store(Protocol):
    """Reach what lies at places: absolute paths, or addresses."""

    def listing(self, folder: str) -> Mapping[str, Item]:
        """Return what lies below a folder, by key: its path from there, with slashes. Empty where there is none."""

    def directly(self, folder: str) -> Mapping[str, Item]:
        """Return what lies in a folder itself."""

    def read(self, place: str) -> bytes:
        """Return an object's content."""

    def read_all(self, places: Sequence[str]) -> list[bytes | None]:
        """Return the content of many small objects, None for those that are not there any more."""

    def openers(self, items: Mapping[str, Item]) -> dict[str, Callable[[], BinaryIO]]:
        """Return what opens each place, without reading more than is asked for."""

    def write(self, place: str, content: bytes) -> None:
        """Put a whole object: it is there with all of its content, or as before."""

    def remove(self, place: str) -> None:
        """Remove an object, where it is there."""

    def check(self, place: str) -> None:
        """Raise TargetError for a place that surely cannot be written."""

    def same(self, place: str) -> str:
        """Return a key that is equal for two places exactly when one would overwrite the other."""


def is_address(place: str) -> bool:
    """Tell an address in an object store from a path."""
    return "://" in place


def plain_path(place: str) -> str:
    """Return the path that a file:// address means, and anything else as it is."""
    return place.removeprefix("file://")


def join(folder: str, key: str) -> str:
    """Return the place of a key below a folder."""
    return f"{folder.rstrip('/')}/{key}" if is_address(folder) else os.path.join(folder, *key.split("/"))  # noqa: PTH118


class LocalStore:
    """Reach files that every machine sees under the same path. Raise RemoteError for what cannot be read."""

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
        names = os.listdir(folder) if os.path.isdir(folder) else []  # noqa: PTH208, PTH112 (of many names, or a long one)
        paths = [Path(folder, name) for name in names]
        return {path.name: item for path in paths if path.is_file() and (item := _local_item(path)) is not None}

    def read(self, place: str) -> bytes:
        """Return a file's content."""
        try:
            return Path(place).read_bytes()
        except OSError as error:
            raise RemoteError(f"{display_name(Path(place))} cannot be read: {error.strerror}") from error

    def read_all(self, places: Sequence[str]) -> list[bytes | None]:
        """Return the content of files, None for those that are not there any more."""
        return [self.read(place) if os.path.lexists(place) else None for place in places]

    def openers(self, items: Mapping[str, Item]) -> dict[str, Callable[[], BinaryIO]]:
        """Return what opens each file."""
        return {place: lambda path=Path(place): path.open("rb") for place in items}  # type: ignore[misc]

    def write(self, place: str, content: bytes) -> None:
        """Write a file beside its place and rename it. Raise TargetError where the file system refuses."""
        make_folder(Path(place).parent)
        with atomic_write(Path(place), overwrite=True) as temporary:
            temporary.write_bytes(content)

    def remove(self, place: str) -> None:
        """Remove a file, where it is there."""
        Path(place).unlink(missing_ok=True)

    def check(self, place: str) -> None:
        """Raise TargetError for a path that cannot be written."""
        check_target(Path(place), overwrite=True, sources=(), may_make_folder=True)

    def same(self, place: str) -> str:
        """Return the path as its disk tells it from others."""
        return target_key(Path(place))


def _local_item(path: Path) -> Item | None:
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere
        return None
    return Item(status.st_size, file_stamp(status))


def file_stamp(status: os.stat_result) -> str:
    """Return what tells a file's content from a later one."""
    return f"{status.st_size} {status.st_mtime_ns}"


HEAD_BYTES = 256 * 1024  # with so much of its beginning the headers of most pictures are complete

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_STAMPS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "updated", "mtime", "created")
_LONGEST_KEY = 1024  # bytes, of S3 and of Google Cloud Storage


class ObjectStore:
    """Reach the objects of one scheme. Credentials and endpoint are those that its package finds by itself.

    Raise RemoteError where the package is missing or the store says no.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._fs = _file_system(scheme)

    def listing(self, folder: str) -> Mapping[str, Item]:
        """Return the objects below a folder, or the one object that the address names, under the key ""."""
        with _spoken(folder):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(folder, detail=True)
            except FileNotFoundError:
                found = {}
        return self._items(folder, found.values())

    def directly(self, folder: str) -> Mapping[str, Item]:
        """Return the objects in a folder itself."""
        with _spoken(folder):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(folder, detail=True)
            except FileNotFoundError:
                found = []
        return self._items(folder, found)

    def matches(self, pattern: str) -> list[str]:
        """Return the addresses of the objects that a glob matches."""
        with _spoken(pattern):
            self._fs.invalidate_cache()
            found = self._fs.glob(pattern, detail=True)
        return sorted(f"{self._scheme}://{path.lstrip('/')}" for path, info in found.items() if info["type"] == "file")

    def read(self, place: str) -> bytes:
        """Return an object's content."""
        with _spoken(place):
            return cast(bytes, self._fs.cat_file(place))

    def read_all(self, places: Sequence[str]) -> list[bytes | None]:
        """Return the content of small objects, many at a time, None for those that are gone."""
        contents: list[bytes | None] = []
        for place, content in zip(places, self._starts(places, [None] * len(places)), strict=True):
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                with _spoken(place):
                    raise content
            contents.append(content if isinstance(content, bytes) else None)
        return contents

    def openers(self, items: Mapping[str, Item]) -> dict[str, Callable[[], BinaryIO]]:
        """Fetch the beginning of every object at once; the rest comes when it is asked for."""
        heads = self._starts(list(items), [min(item.size, HEAD_BYTES) for item in items.values()])
        return {
            place: partial(self._open, place, item.size, head)
            for (place, item), head in zip(items.items(), heads, strict=True)
        }

    def write(self, place: str, content: bytes) -> None:
        """Put a whole object."""
        with _spoken(place):
            self._fs.pipe_file(place, content)

    def remove(self, place: str) -> None:
        """Remove an object, where it is there."""
        with _spoken(place):
            try:
                self._fs.rm_file(place)
            except FileNotFoundError:
                return

    def check(self, place: str) -> None:
        """Raise TargetError for a key that is too long."""
        _, _, key = place.partition("://")[2].partition("/")
        if len(key.encode()) > _LONGEST_KEY:
            raise TargetError(f"{display_text(place[:60])}...: the key is longer than {_LONGEST_KEY} bytes; use --name")

    def same(self, place: str) -> str:
        """Return the address: every spelling is an object of its own."""
        return place

    def _items(self, folder: str, found: Iterable[Mapping[str, Any]]) -> dict[str, Item]:
        top = self._fs._strip_protocol(folder)
        return {info["name"][len(top) :].lstrip("/"): _object_item(info) for info in found if info["type"] == "file"}

    def _starts(self, places: Sequence[str], ends: Sequence[int | None]) -> list[bytes | Exception]:
        paths = [self._fs._strip_protocol(place) for place in places]
        if not paths:
            return []
        with _spoken(places[0]):
            found = self._fs.cat_ranges(paths, [0] * len(paths), list(ends), on_error="return")
        return cast("list[bytes | Exception]", found)

    def _open(self, place: str, size: int, head: bytes | Exception) -> BinaryIO:
        if isinstance(head, Exception):
            with _spoken(place):
                raise head
        return cast(BinaryIO, io.BufferedReader(_Ranges(head, size, partial(self._range, place)), HEAD_BYTES))

    def _range(self, place: str, start: int, end: int) -> bytes:
        with _spoken(place):
            return cast(bytes, self._fs.cat_file(place, start, end))


class _Ranges(io.RawIOBase):
    """Read an object by ranges; its beginning is here already."""

    def __init__(self, head: bytes, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._head = head
        self._size = size
        self._fetch = fetch
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        inside = end <= len(self._head)
        content = self._head[self._at : end] if inside else self._fetch(self._at, end)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def _file_system(scheme: str) -> Any:
    try:
        import fsspec

        return fsspec.filesystem(scheme)
    except ImportError as error:
        extra = _EXTRAS.get(scheme, "ray")
        raise RemoteError(f'{scheme}:// needs an extra: pip install ".[ray,{extra}]"') from error
    except ValueError as error:
        raise RemoteError(f"{scheme}:// is not known; use s3://, gs:// or file://") from error


def _object_item(info: Mapping[str, Any]) -> Item:
    stamp = next((str(info[name]) for name in _STAMPS if info.get(name)), "")
    return Item(int(info["size"] or 0), f"{info['size']} {stamp}")


@contextmanager
def _spoken(place: str) -> Iterator[None]:
    """Turn what a store's package throws into one line; each has errors of its own."""
    name = display_text(place)
    try:
        yield
    except EsrtError:
        raise
    except FileNotFoundError as error:
        raise RemoteError(f"{name} does not exist; check the bucket and the path") from error
    except PermissionError as error:
        raise RemoteError(f"{name}: no permission ({_line(error)}); check the credentials") from error
    except Exception as error:
        raise RemoteError(f"{name} cannot be reached: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def store_of(place: str) -> Store:
    """Return the store in which a place lies; raise RemoteError where the package for it is missing."""
    if not is_address(place):
        return LocalStore()

    return ObjectStore(place.partition("://")[0])
