"""Locate damage in a clip.

The decoder's error messages carry no times. If there were any, the clip is decoded a second time with PyAV to find
which frames are missing or decoded with errors.
"""

import threading
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from esrt_core.media.video.clip import ClipInfo
from esrt_core.media.video.packets import decoded_packets

_MISSING_FRAMES = 3  # a gap of this many frames is damage, not a variable rate
_MISSING_FRAME = Fraction(3, 2)
_MERGE_WITHIN = 1.0  # seconds between bad frames that are reported as one stretch


def damaged_stretches(clip: ClipInfo) -> list[tuple[float, float]]:
    """Return (first, last) seconds after the clip's start of stretches with missing or damaged frames."""
    stretches: list[tuple[float, float]] = []
    for seconds in sorted(_bad_times(clip)):
        if stretches and seconds - stretches[-1][1] <= _MERGE_WITHIN:
            stretches[-1] = (stretches[-1][0], seconds)
        else:
            stretches.append((seconds, seconds))
    return stretches


def _bad_times(clip: ClipInfo) -> Iterator[float]:
    expected: set[int] = set()
    seen: set[int] = set()
    for packet in decoded_packets(clip):
        if packet.tick is not None:
            expected.add(packet.tick)
            seen.add(packet.tick)
        for tick, frame in packet.frames:
            if tick is None:
                continue
            expected.discard(tick)
            if frame.is_corrupt:
                yield _after_start(clip, tick)
    yield from (_after_start(clip, tick) for tick in (*expected, *_gaps(clip, sorted(seen))))


def _gaps(clip: ClipInfo, ticks: list[int]) -> Iterator[int]:
    """Yield both ends of every gap in which packets are missing: of one frame if data is marked as damaged.

    The seam between joined recordings is not a gap.
    """
    time_base = clip.video.timing.time_base
    longest = (_MISSING_FRAME if clip.suspects else _MISSING_FRAMES) / (clip.video.timing.rate * time_base)
    seams = {round(seconds / time_base) for seconds in clip.restarts}
    for before, after in pairwise(ticks):
        if after - before > longest and after not in seams:
            yield from (before, after)


def _after_start(clip: ClipInfo, tick: int) -> float:
    return max(float(tick * clip.video.timing.time_base - clip.start), 0.0)


_MAX_MESSAGES = 5  # per segment
_SHORT = 0.5  # seconds by which the picture may be shorter than its clip


class DamageLog:
    """Collect the decoder's error messages, across threads."""

    def __init__(self, ignored_before: int) -> None:
        self._tick = -1
        self._ignored_before = ignored_before
        self._messages: list[str] = []
        self._lock = threading.Lock()

    def advance(self, tick: int) -> None:
        """Record that the frame of this tick has been decoded."""
        self._tick = tick

    def on_error(self, message: str) -> None:
        """Record a message, unless it is about frames whose damage an earlier run recorded."""
        if self._ignored_before and self._tick < self._ignored_before:
            return
        with self._lock:
            self._messages.append(message)

    def drain(self) -> tuple[str, ...]:
        """Return the first messages since the last call, and forget all of them."""
        with self._lock:
            messages, self._messages = self._messages, []
        return tuple(messages[:_MAX_MESSAGES])


_DROPPED = "dropped a frame at "


def dropped_frame(clip: ClipInfo, tick: int, reason: str) -> str:
    """Return the message about a decoded frame that the result does not contain; it already has its time."""
    return f"{_DROPPED}{clip.seconds(tick):.2f} s: {reason}"


def damage_report(clip: ClipInfo, messages: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (damage, notes), one line each; damage means lost frames, and has their times.

    `messages` are the decoder's. If it complained but all frames are there, that is a note.
    """
    dropped = tuple(message for message in messages if message.startswith(_DROPPED))
    others = [*(message for message in messages if not message.startswith(_DROPPED)), *clip.suspects]
    if not others:
        return (*clip.damage, *dropped), ()
    lines = [f"{_times(*stretch)}: {others[0]}" for stretch in damaged_stretches(clip)]
    timing = clip.video.timing
    end = float(timing.end * timing.time_base - clip.start)
    if float(clip.duration) - end > _SHORT and not clip.damage:
        lines.append(f"the picture ends at {end:.2f} s of {float(clip.duration):.2f} s")
    notes = () if lines else (f"errors in the file, but no frame is missing: {others[0]}",)
    return (*clip.damage, *dropped, *lines), notes


def _times(begin: float, end: float) -> str:
    return f"at {begin:.2f} s" if begin == end else f"from {begin:.2f} s to {end:.2f} s"
