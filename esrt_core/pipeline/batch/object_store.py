"""Object stores (S3, Google Cloud Storage) behind the interface of storage, by fsspec."""

from __future__ import annotations

import glob
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from esrt_core.errors import EsrtError, RemoteError, TargetError
from esrt_core.files import display_text
from esrt_core.media.image.picture import RemoteFile, Source
from esrt_core.pipeline.batch.storage import Item, Visitor

HEAD_BYTES = 256 * 1024  # of the beginning of an object; complete headers of most pictures
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_STAMPS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "updated", "mtime", "created")
_LONGEST_KEY = 1024  # bytes, of S3 and of Google Cloud Storage


class ObjectStore:
    """Store objects under one URL scheme; its package finds credentials and endpoint by itself.

    Raises: RemoteError if the package is missing or the store refuses.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._fs = _file_system(scheme)
        self._listings: dict[str, Mapping[str, Item]] = {}  # of matches: one request for all that is asked about them

    def matches(self, pattern: str) -> list[str]:
        """Return the address if something lies at or below it, else the objects that a glob matches."""
        self._listings[pattern] = self.listing(pattern)
        if self._listings[pattern]:
            return [pattern]
        if not glob.has_magic(pattern):
            return []
        with _remote_errors(pattern):
            found = self._fs.glob(pattern, detail=True)
        names = sorted(path.lstrip("/") for path, info in found.items() if info["type"] == "file")
        return [f"{self._scheme}://{name}" for name in names]

    def is_folder(self, location: str) -> bool:
        """Return whether something lies below an address."""
        return "" not in self._listed(location)

    def tree(self, top: str, visitor: Visitor) -> Iterator[tuple[PurePosixPath, Item | str]]:
        """Yield the objects below an address."""
        paths = {PurePosixPath(key): item for key, item in self._listed(top).items()}
        names: dict[PurePosixPath, set[str]] = {PurePosixPath(): set()}
        for path in paths:
            for below, folder in zip((path, *path.parents), path.parents, strict=False):
                names.setdefault(folder, set()).add(below.name)
        entered = {PurePosixPath()}
        visitor.entered(PurePosixPath(), names[PurePosixPath()])
        for folder in sorted(names.keys() - entered):  # a folder comes before those in it
            if folder.parent in entered and visitor.enters(folder):
                entered.add(folder)
                visitor.entered(folder, names[folder])
        yield from ((path, item) for path, item in sorted(paths.items()) if path.parent in entered)

    def item(self, location: str) -> Item | str:
        """Return the object at an address."""
        return self._listed(location)[""]

    def _listed(self, location: str) -> Mapping[str, Item]:
        if location not in self._listings:
            self._listings[location] = self.listing(location)
        return self._listings[location]

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

    def sources(self, items: Mapping[str, Item], names: Sequence[str]) -> list[Source]:
        """Fetch the beginning of all objects in parallel; the rest is fetched when it is read."""
        heads = self._starts(list(items), [min(item.size, HEAD_BYTES) for item in items.values()])
        return [
            RemoteFile(name, partial(self._open, location, item.size, head))
            for (location, item), name, head in zip(items.items(), names, heads, strict=True)
        ]

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
    except Exception as error:  # botocore's, aiohttp's and google.auth's have no common base that could be named here
        raise RemoteError(f"{name} cannot be reached: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
