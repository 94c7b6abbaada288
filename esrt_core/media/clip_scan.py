"""The packets of a clip's picture, read without decoding: when its frames are shown, and what is missing."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from esrt_core.media.clip_timing import Timing, timing_of

_SECOND = Fraction(1)


@dataclass
class Scan:
    """Gather the ticks of the frames with their durations, and what is wrong with the packets."""

    ticks: dict[int, int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    untimed: int = 0

    @property
    def count(self) -> int:
        """Frames that can be expected."""
        return len(self.ticks) or self.untimed

    def timing(self, stream: Any, is_counted: bool) -> Timing:
        """Return when the frames are shown: at their own times, or one after the other."""
        return _counted(self.count, stream) if is_counted else _timed(self.ticks, stream)

    def add(self, packet: Any) -> None:
        """Note a packet; one without a time is the second field of a frame, or comes from AVI or a raw stream."""
        if packet.pts is None:
            self.untimed += 1
        else:
            self.ticks.setdefault(packet.pts, packet.duration or 0)


def scan_packets(container: Any, stream: Any) -> Scan:
    """Read all packets of a stream, as far as the file goes."""
    scan = Scan()
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                scan.add(packet)
                if packet.is_corrupt:
                    scan.damage.append(f"damaged data at {_clock(packet.pts, stream)}")
    except (av.error.FFmpegError, OSError) as error:
        last = max(scan.ticks, default=None)
        scan.damage.append(f"the file cannot be read beyond {_clock(last, stream)} ({error.strerror})")
    return scan


def missing_end(stream: Any, timing: Timing) -> list[str]:
    """Say so where the stream should go on for more than a second after its last frame."""
    stated = (stream.duration or 0) * timing.time_base
    if stated and stated - timing.duration > _SECOND:
        return [f"the file ends early: {float(timing.duration):.2f} s of {float(stated):.2f} s are there"]
    return []


def _timed(ticks: dict[int, int], stream: Any) -> Timing:
    shown = sorted(ticks)
    return timing_of(shown, ticks[shown[-1]], Fraction(stream.time_base), _stated_rates(stream))


def _counted(count: int, stream: Any) -> Timing:
    """Return the timing of frames that follow each other at the stated rate, one tick each."""
    rate = next(iter(_stated_rates(stream)), Fraction(25))
    return timing_of(range(count), 1, 1 / rate, [rate])


def _stated_rates(stream: Any) -> list[Fraction]:
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [Fraction(rate) for rate in rates if rate]


def _clock(tick: int | None, stream: Any) -> str:
    if tick is None:
        return "an unknown time"
    start = Fraction(stream.container.start_time or 0, av.time_base)
    return f"{float(tick * stream.time_base - start):.2f} s"
