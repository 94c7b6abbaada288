"""LocalStore: the disks that every machine sees."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from esrt_core.errors import RemoteError
from esrt_core.files import atomic_write, check_target, display_name, make_folder, target_key
from esrt_core.pipeline.store import Item


class LocalStore:
    """Reach files that every machine sees under the same path. Raise RemoteError for what cannot be read."""

    def listing(self, folder: str) -> Mapping[str, Item]:
        """Return the files below a folder."""
        return {
            Path(top, name).relative_to(folder).as_posix(): item
            for top, _, names in os.walk(folder)
            for name in names
            if (item := _item(Path(top, name))) is not None
        }

    def directly(self, folder: str) -> Mapping[str, Item]:
        """Return the files in a folder itself."""
        names = os.listdir(folder) if os.path.isdir(folder) else []  # noqa: PTH208, PTH112 (of many names, or a long one)
        paths = [Path(folder, name) for name in names]
        return {path.name: item for path in paths if path.is_file() and (item := _item(path)) is not None}

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


def _item(path: Path) -> Item | None:
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere
        return None
    return Item(status.st_size, file_stamp(status))


def file_stamp(status: os.stat_result) -> str:
    """Return what tells a file's content from a later one."""
    return f"{status.st_size} {status.st_mtime_ns}"
