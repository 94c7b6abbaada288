"""Journal: what of a clip is finished, one line a segment, so that the same command goes on after anything."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esrt_core.errors import OptionError
from esrt_core.files import atomic_write

Header = Mapping[str, Any]

_VERSION = 1
_BLOCK = 2**20


@dataclass(frozen=True)
class Segment:
    """Say what a finished segment holds.

    slots               its number of frames; `first` is the number of the first in the result.
    start, end          in the result's ticks: of the first frame, and when the last one ends.
    source_tick, check  the clip's frame shown last, and a checksum of its decoded bytes: going on is proven by them.
    tile                the tile that the engine used, in px.
    """

    number: int
    name: str
    first: int
    slots: int
    start: int
    end: int
    size: int
    sha256: str
    source_tick: int
    check: int
    tile: int
    reused: int
    damage: tuple[str, ...] = ()


class Journal:
    """Append to, and read, the journal of one work folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "journal.jsonl"

    def header(self) -> dict[str, Any] | None:
        """Return what the work was begun with, or None where there is no work yet."""
        lines = self._lines()
        return lines[0] if lines and lines[0].get("version") == _VERSION else None

    def begin(self, header: Header, segments: Sequence[Segment] = ()) -> None:
        """Write the journal anew, with the segments that are kept; a half-written line is gone then."""
        records = [{"version": _VERSION, **header}, *(dataclasses.asdict(segment) for segment in segments)]
        with atomic_write(self._path, overwrite=True) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    def add(self, segment: Segment) -> None:
        """Note a segment, for good: the line is on the disk when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(segment)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def segments(self) -> list[Segment]:
        """Return the finished segments, in order, up to the first whose file is not what the journal says."""
        found: list[Segment] = []
        for line in self._lines()[1:]:
            segment = Segment(**{**line, "damage": tuple(line["damage"])})
            file = self.folder / segment.name
            whole = file.is_file() and file.stat().st_size == segment.size and digest(file) == segment.sha256
            if segment.number != len(found) or not whole:
                break
            found.append(segment)
        return found

    def _lines(self) -> list[dict[str, Any]]:
        """Return the whole lines; one that a power cut left half written is none."""
        if not self._path.is_file():
            return []
        lines = []
        for text in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def check_header(earlier: Header, now: Header, folder: Path) -> None:
    """Raise OptionError, naming what differs, where unfinished work was begun with another source or other options."""
    here = json.loads(json.dumps(dict(now)))
    changed = [name for name in here if earlier.get(name) != here[name]]
    if not changed:
        return
    reason = "the source has changed since" if "source" in changed else f"other options ({', '.join(changed)})"
    raise OptionError(
        f"unfinished work in {folder} is of no use here: {reason}; "
        "give the earlier options to go on with it, or --restart to begin anew"
    )
