"""Storage behind a common interface: the local file system, and object stores (S3, Google Cloud Storage) by fsspec.

Local paths do not go through fsspec: its local file system changes names such as `~/a.png`.
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

HEAD_BYTES = 256 * 1024  # of the beginning of an object; complete headers of most pictures
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_STAMPS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "updated", "mtime", "created")
_LONGEST_KEY = 1024  # bytes, of S3 and of Google Cloud Storage


@dataclass(frozen=True)
class Item:
    """Describe a stored object: its size in bytes, and a stamp that changes with its content."""

    size: int
    stamp: str


class Store(Protocol):
    """Read and write objects by location: an absolute path or an address."""

    def listing(self, folder: str) -> Mapping[str, Item]:
        """Return the objects below a folder by key, their relative path with slashes; empty if it does not exist."""

    def directly(self, folder: str) -> Mapping[str, Item]:
        """Return the objects directly in a folder."""

    def read(self, location: str) -> bytes:
        """Return an object's content."""

    def read_all(self, locations: Sequence[str]) -> list[bytes | None]:
        """Return the content of many small objects, None for those that no longer exist."""

    def openers(self, items: Mapping[str, Item]) -> dict[str, Callable[[], BinaryIO]]:
        """Return a function per location that opens it and reads no more than is requested."""

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


def join(folder: str, key: str) -> str:
    """Return the location of a key below a folder."""
    return f"{folder.rstrip('/')}/{key}" if is_address(folder) else os.path.join(folder, *key.split("/"))  # noqa: PTH118


class LocalStore:
    """Store objects in files that every machine sees under the same path.

    Raises: RemoteError if a file cannot be read.
    """

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

    def read(self, location: str) -> bytes:
        """Return a file's content."""
        try:
            return Path(location).read_bytes()
        except OSError as error:
            raise RemoteError(f"{display_name(Path(location))} cannot be read: {error.strerror}") from error

    def read_all(self, locations: Sequence[str]) -> list[bytes | None]:
        """Return the content of files, None for those that no longer exist."""
        return [self.read(location) if os.path.lexists(location) else None for location in locations]

    def openers(self, items: Mapping[str, Item]) -> dict[str, Callable[[], BinaryIO]]:
        """Return a function per file that opens it."""
        return {location: lambda path=Path(location): path.open("rb") for location in items}  # type: ignore[misc]

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


def _local_item(path: Path) -> Item | None:
    try:
        status = path.stat()
    except OSError:  # a dangling link
        return None
    return Item(status.st_size, file_stamp(status))


def file_stamp(status: os.stat_result) -> str:
    """Return a stamp that changes with a file's content."""
    return f"{status.st_size} {status.st_mtime_ns}"


class ObjectStore:
    """Store objects under one URL scheme; its package finds credentials and endpoint by itself.

    Raises: RemoteError if the package is missing or the store refuses.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._fs = _file_system(scheme)

    def listing(self, folder: str) -> Mapping[str, Item]:
        """Return the objects below a folder, or the one object at that address under the key ""."""
        with _remote_errors(folder):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(folder, detail=True)
            except FileNotFoundError:
                found = {}
        return self._items(folder, found.values())

    def directly(self, folder: str) -> Mapping[str, Item]:
        """Return the objects directly in a folder."""
        with _remote_errors(folder):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(folder, detail=True)
            except FileNotFoundError:
                found = []
        return self._items(folder, found)

    def matches(self, pattern: str) -> list[str]:
        """Return the addresses of the objects that a glob matches."""
        with _remote_errors(pattern):
            self._fs.invalidate_cache()
            found = self._fs.glob(pattern, detail=True)
        return sorted(f"{self._scheme}://{path.lstrip('/')}" for path, info in found.items() if info["type"] == "file")

    def read(self, location: str) -> bytes:
        """Return an object's content."""
        with _remote_errors(location):
            return cast(bytes, self._fs.cat_file(location))

    def read_all(self, locations: Sequence[str]) -> list[bytes | None]:
        """Return the content of small objects, fetched in parallel; None for those that no longer exist."""
        contents: list[bytes | None] = []
        for location, content in zip(locations, self._starts(locations, [None] * len(locations)), strict=True):
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                with _remote_errors(location):
                    raise content
            contents.append(content if isinstance(content, bytes) else None)
        return contents

    def openers(self, items: Mapping[str, Item]) -> dict[str, Callable[[], BinaryIO]]:
        """Fetch the beginning of all objects in parallel; the rest is fetched when it is read."""
        heads = self._starts(list(items), [min(item.size, HEAD_BYTES) for item in items.values()])
        return {
            location: partial(self._open, location, item.size, head)
            for (location, item), head in zip(items.items(), heads, strict=True)
        }

    def write(self, location: str, content: bytes) -> None:
        """Write a whole object."""
        with _remote_errors(location):
            self._fs.pipe_file(location, content)

    def append(self, location: str, content: bytes) -> None:
        """Write an object anew with more content: nothing can be appended to one."""
        (before,) = self.read_all([location])
        self.write(location, (before or b"") + content)

    def remove(self, location: str) -> None:
        """Remove an object if it exists."""
        with _remote_errors(location):
            try:
                self._fs.rm_file(location)
            except FileNotFoundError:
                return

    def check(self, location: str) -> None:
        """Raise TargetError if a key is too long."""
        _, _, key = location.partition("://")[2].partition("/")
        if len(key.encode()) > _LONGEST_KEY:
            raise TargetError(
                f"{display_text(location[:60])}...: the key is longer than {_LONGEST_KEY} bytes; use --name"
            )

    def same(self, location: str) -> str:
        """Return the address: every spelling is a different object."""
        return location

    def _items(self, folder: str, found: Iterable[Mapping[str, Any]]) -> dict[str, Item]:
        top = self._fs._strip_protocol(folder)
        return {info["name"][len(top) :].lstrip("/"): _object_item(info) for info in found if info["type"] == "file"}

    def _starts(self, locations: Sequence[str], ends: Sequence[int | None]) -> list[bytes | Exception]:
        paths = [self._fs._strip_protocol(location) for location in locations]
        if not paths:
            return []
        with _remote_errors(locations[0]):
            found = self._fs.cat_ranges(paths, [0] * len(paths), list(ends), on_error="return")
        return cast("list[bytes | Exception]", found)

    def _open(self, location: str, size: int, head: bytes | Exception) -> BinaryIO:
        if isinstance(head, Exception):
            with _remote_errors(location):
                raise head
        return cast(BinaryIO, io.BufferedReader(_Ranges(head, size, partial(self._range, location)), HEAD_BYTES))

    def _range(self, location: str, start: int, end: int) -> bytes:
        with _remote_errors(location):
            return cast(bytes, self._fs.cat_file(location, start, end))


class _Ranges(io.RawIOBase):
    """Read an object by ranges; its beginning has been fetched already."""

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
            raise ValueError("negative seek position")
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
        raise RemoteError(f'{scheme}:// addresses need an extra: pip install ".[ray,{extra}]"') from error
    except ValueError as error:
        raise RemoteError(f"unknown scheme {scheme}://; use s3://, gs:// or file://") from error


def _object_item(info: Mapping[str, Any]) -> Item:
    stamp = next((str(info[name]) for name in _STAMPS if info.get(name)), "")
    return Item(int(info["size"] or 0), f"{info['size']} {stamp}")


@contextmanager
def _remote_errors(location: str) -> Iterator[None]:
    """Turn the exceptions of a store's package, which each has its own, into a RemoteError of one line."""
    name = display_text(location)
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


def store_of(location: str) -> Store:
    """Return the store of a location.

    Raises: RemoteError if the package for its scheme is missing.
    """
    if not is_address(location):
        return LocalStore()
    return ObjectStore(location.partition("://")[0])
