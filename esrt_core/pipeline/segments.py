"""Turn upscaled frames into finished segments: encoded, renamed, noted in the journal, one after the other."""

import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import TargetError
from esrt_core.media.clip_writer import EncodeSettings, SegmentWriter
from esrt_core.pipeline.journal import Journal, Segment, digest

_PART = ".part"


@dataclass(frozen=True)
class DoneFrame:
    """Hold one upscaled frame of the result.

    data    its bytes; the same object again where the frame is shown again.
    tick, length  in the result's ticks.
    check   a checksum of the source frame's bytes.
    """

    number: int
    data: bytes
    tick: int
    length: int
    source_tick: int
    check: int
    tile: int
    reused: bool


class SegmentMaker:
    """Consume the frames of a result from a thread of its own."""

    def __init__(
        self, journal: Journal, settings: EncodeSettings, slots: int, damage: Callable[[], tuple[str, ...]]
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._slots = slots
        self._damage = damage

    def __call__(self, frames: Iterator[DoneFrame]) -> None:
        """Make all segments; frames come in order, and the first one begins a segment."""
        for number, group in itertools.groupby(frames, lambda frame: frame.number // self._slots):
            try:
                self._journal.add(self._make(number, group))
            except OSError as error:
                raise TargetError(
                    f"{self._journal.folder} cannot be written: {error.strerror}; the same command goes on from there"
                ) from error

    def _make(self, number: int, frames: Iterator[DoneFrame]) -> Segment:
        name = f"segment_{number:06d}.nut"
        part = self._journal.folder / f"{name}.{secrets.token_hex(4)}{_PART}"
        first = last = next(frames)
        count = reused = 0
        with SegmentWriter(part, self._settings) as writer:
            for frame in itertools.chain([first], frames):
                writer.write(frame.data, frame.tick - first.tick, frame.length)
                count, reused, last = count + 1, reused + frame.reused, frame
            writer.finish()
        _settle(part, self._journal.folder / name)
        file = self._journal.folder / name
        return Segment(
            number, name, first.number, count, first.tick, last.tick + last.length, file.stat().st_size, digest(file),
            last.source_tick, last.check, last.tile, reused, self._damage(),
        )  # fmt: skip


def remove_parts(folder: Path) -> None:
    """Remove what an earlier run was still encoding when it ended."""
    for part in folder.glob(f"*{_PART}"):
        part.unlink(missing_ok=True)


def _settle(part: Path, file: Path) -> None:
    """Give a whole file its name, for good: a power cut leaves the whole file or none."""
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.replace(file)
