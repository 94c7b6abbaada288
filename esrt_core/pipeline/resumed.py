"""The frames of a clip from where an earlier run ended: found by a jump that is proven, or read from the start."""

import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from fractions import Fraction

from esrt_core.media.clip import ClipInfo
from esrt_core.media.clip_reader import ClipFrame, ReadRequest, read_frames

_MARGIN = Fraction(10)  # seconds decoded before the frame that is wanted, so that all it refers to is there


@dataclass(frozen=True)
class Mark:
    """Name a frame by its tick and the checksum of its decoded bytes."""

    tick: int
    check: int


def checksum(frame: ClipFrame) -> int:
    """Return a checksum of a frame's bytes."""
    return zlib.crc32(frame.data.data)


def frames_from(
    clip: ClipInfo, read: ReadRequest, first_tick: int, mark: Mark | None, heard: Callable[[str], None]
) -> Generator[ClipFrame]:
    """Yield the frames from the one shown at `first_tick` on, or from a mark on (the marked frame is the first).

    A jump to a key frame is trusted where the marked frame comes out with the same bytes as in the earlier run; without
    that, the clip is decoded from its start.
    """
    if mark is None:
        yield from _jumped(clip, read, first_tick, heard)
        return
    jumped = (frame for frame in _jumped(clip, read, mark.tick, heard) if frame.tick >= mark.tick)
    first = next(jumped, None)
    if first is not None and (first.tick, checksum(first)) == (mark.tick, mark.check):
        yield first
        yield from jumped
        return
    jumped.close()
    yield from (frame for frame in read_frames(clip, read, heard) if frame.tick >= mark.tick)


def _jumped(clip: ClipInfo, read: ReadRequest, tick: int, heard: Callable[[str], None]) -> Generator[ClipFrame]:
    timing = clip.video.timing
    if clip.is_counted:
        yield from read_frames(clip, read, heard)
        return
    wanted = (timing.first + tick) * timing.time_base - clip.start - _MARGIN
    yield from read_frames(clip, replace(read, after=wanted) if wanted > 0 else read, heard)
