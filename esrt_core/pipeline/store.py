"""Store: a folder of this machine or of an object store, in the few steps that many machines need of it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol


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
