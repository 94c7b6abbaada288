"""What a decoder complains about, and where in the clip that is.

Find where a clip is damaged. ffmpeg's complaints carry no times, so a clip it complained about is decoded again.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import av

from esrt_core.media.video.clip import ClipInfo
from esrt_core.media.video.ffmpeg import opened

_MISSED = 3  # frames that are no longer a rate that varies
_TOGETHER = 1.0  # seconds between bad frames that are told as one stretch


def damaged_stretches(clip: ClipInfo) -> list[tuple[float, float]]:
    """Return the stretches, in seconds after the clip's start, whose frames are missing, or decoded with errors."""
    stretches: list[tuple[float, float]] = []
    for seconds in sorted(_bad_times(clip)):
        if stretches and seconds - stretches[-1][1] <= _TOGETHER:
            stretches[-1] = (stretches[-1][0], seconds)
        else:
            stretches.append((seconds, seconds))
    return stretches


def _bad_times(clip: ClipInfo) -> Iterator[float]:
    with opened(clip.path) as container:
        stream = container.streams[clip.video.index]
        expected: set[int] = set()
        seen: set[int] = set()
        packets = container.demux(stream)
        while (packet := _next(packets)) is not None:
            tick = packet.dts if packet.pts is None else packet.pts
            if packet.size and tick is not None:
                expected.add(tick)
                seen.add(tick)
                if packet.is_corrupt:
                    yield _after_start(clip, tick)
            for frame in _decoded(packet):
                expected.discard(frame.pts)
                if frame.is_corrupt and frame.pts is not None:
                    yield _after_start(clip, frame.pts)
    yield from (_after_start(clip, tick) for tick in (*expected, *_gaps(clip, sorted(seen))))


def _gaps(clip: ClipInfo, ticks: list[int]) -> Iterator[int]:
    """Yield both ends of the gaps in which several frames' packets are missing altogether."""
    several = _MISSED / (clip.video.timing.rate * clip.video.timing.time_base)
    for before, after in pairwise(ticks):
        if after - before > several:
            yield from (before, after)


def _next(packets: Iterator[Any]) -> Any:
    """Return the next packet, or None where the file ends or cannot be read any further."""
    with suppress(av.error.FFmpegError, OSError):
        return next(packets, None)
    return None


def _decoded(packet: Any) -> list[Any]:
    """Return the frames that come out with a packet; none where it cannot be decoded: they are found missing."""
    with suppress(av.error.FFmpegError):
        return list(packet.decode())
    return []


def _after_start(clip: ClipInfo, tick: int) -> float:
    return max(float(tick * clip.video.timing.time_base - clip.start), 0.0)


_KEPT = 5
_SHORT = 0.5  # seconds by which a picture may be shorter than its clip


class DamageLog:
    """Gather complaints from the decoder's thread."""

    def __init__(self, ignored_before: int) -> None:
        self._tick = -1
        self._ignored_before = ignored_before
        self._complaints: list[str] = []
        self._lock = threading.Lock()

    def advance(self, tick: int) -> None:
        """Note that the frame of this tick came out of the decoder."""
        self._tick = tick

    def on_error(self, message: str) -> None:
        """Take a complaint; those about what was decoded in an earlier run are known already."""
        if self._ignored_before and self._tick < self._ignored_before:
            return
        with self._lock:
            self._complaints.append(message)

    def drain(self) -> tuple[str, ...]:
        """Return the first complaints since the last call."""
        with self._lock:
            complaints, self._complaints = self._complaints, []
        return tuple(complaints[:_KEPT])


def damage_report(clip: ClipInfo, complaints: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is wrong with a clip, one line each, with its times; nothing where the decoder did not complain."""
    if not complaints:
        return clip.damage
    stretches = damaged_stretches(clip)
    lines = [f"{_times(*stretch)}: {complaints[0]}" for stretch in stretches]
    timing = clip.video.timing
    end = float(timing.end * timing.time_base - clip.start)
    if float(clip.duration) - end > _SHORT and not clip.damage:
        lines.append(f"the picture ends at {end:.2f} s of {float(clip.duration):.2f} s")
    return (*clip.damage, *(lines or complaints[:1]))


def _times(begin: float, end: float) -> str:
    return f"at {begin:.2f} s" if begin == end else f"from {begin:.2f} s to {end:.2f} s"
