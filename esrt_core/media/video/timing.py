"""Find when the frames of a clip are shown and at which rate, from its packets, without decoding: exact fractions."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

_WHOLE_RATES = (12, 15, 24, 25, 30, 48, 50, 60, 100, 120, 144, 240)
_NTSC_RATES = (24, 30, 48, 60, 120)
_COMMON_RATES = (*map(Fraction, _WHOLE_RATES), *(Fraction(rate * 1000, 1001) for rate in _NTSC_RATES))
_HIGHEST = Fraction(240)
_NEAR = Fraction(1, 200)


@dataclass(frozen=True)
class Timing:
    """Describe when frames are shown.

    time_base  seconds of one tick.
    first      tick of the first frame.
    last       tick of the last frame.
    end        tick at which the last frame ends.
    frames     packets that contain a frame; fewer may be decodable if the clip is damaged.
    rate       frames a second; if `variable`, the constant rate that fits best.
    """

    time_base: Fraction
    first: int
    last: int
    end: int
    frames: int
    rate: Fraction
    variable: bool

    @property
    def start(self) -> Fraction:
        """Seconds of the first frame."""
        return self.first * self.time_base

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        return (self.end - self.first) * self.time_base


def timing_of(
    ticks: Sequence[int], last_duration: int, time_base: Fraction, stated_rates: Sequence[Fraction]
) -> Timing:
    """Find the rate of frames shown at sorted, distinct `ticks`.

    `last_duration` is that of the last frame in ticks, 0 if unknown. A rate that the container states is used if the
    frames lie on its grid, to within the rounding of a tick.
    """
    candidates = [rate for rate in stated_rates if 0 < rate <= _HIGHEST]
    likely = _likely_rate(ticks, time_base)
    rate = next((rate for rate in (*candidates, *likely) if _on_grid(ticks, time_base, rate)), None)
    variable = rate is None
    if rate is None:
        rate = likely[0]
    if not last_duration or (not variable and len(ticks) > 1):
        last_duration = max(round(1 / (rate * time_base)), 1)
    return Timing(time_base, ticks[0], ticks[-1], ticks[-1] + last_duration, len(ticks), rate, variable)


def _on_grid(ticks: Sequence[int], time_base: Fraction, rate: Fraction) -> bool:
    """Return whether frame i is shown at i / rate, within a tick and a half (less if a frame has few ticks)."""
    first, step = ticks[0], 1 / (rate * time_base)
    slack = min(Fraction(3, 2), step / 4)
    # Integers are fast enough for a million frames: |tick - first - i * n / d| <= slack
    numerator, denominator = step.numerator, step.denominator
    limit = slack * denominator
    return all(abs((tick - first) * denominator - i * numerator) <= limit for i, tick in enumerate(ticks))


def _likely_rate(ticks: Sequence[int], time_base: Fraction) -> list[Fraction]:
    """Return the constant rates that fit best: of the shortest common distance, and of the mean distance."""
    if len(ticks) < 2:
        return [Fraction(25)]
    mean = Fraction(ticks[-1] - ticks[0], len(ticks) - 1) * time_base
    distances = Counter(after - before for before, after in itertools.pairwise(ticks))
    enough = max((len(ticks) - 1) // 20, 1)
    common = min(
        distance for distance, count in distances.items() if count >= enough or count == max(distances.values())
    )
    return [_tidy(common * time_base, time_base), _tidy(mean, Fraction(0))]


def _tidy(period: Fraction, rounding: Fraction) -> Fraction:
    """Return the common rate nearest to a distance between frames, or the distance's own rate."""
    nearest = min(_COMMON_RATES, key=lambda common: abs(1 / common - period))
    if abs(1 / nearest - period) <= max(rounding, period * _NEAR):
        return nearest
    return min(max((1 / period).limit_denominator(1001), Fraction(1)), _HIGHEST)


_SECOND = Fraction(1)


@dataclass
class Scan:
    """Collect the ticks of the frames with their durations, and damaged packets.

    untimed  packets without a time: second fields, or frames of AVI and raw streams.
    """

    ticks: dict[int, int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    untimed: int = 0

    @property
    def count(self) -> int:
        """The number of frames to expect."""
        return len(self.ticks) or self.untimed

    def timing(self, stream: Any, is_counted: bool) -> Timing:
        """Return when the frames are shown: at their own times, or one after the other if `is_counted`."""
        return _counted(self.count, stream) if is_counted else _timed(self.ticks, stream)

    def add(self, packet: Any) -> None:
        """Record a packet."""
        if packet.pts is None:
            self.untimed += 1
        else:
            self.ticks.setdefault(packet.pts, packet.duration or 0)


def scan_packets(container: Any, stream: Any) -> Scan:
    """Read all packets of a stream until the file ends or cannot be read any further."""
    scan = Scan()
    for packet in _packets(container, stream, scan):
        if packet.size and not packet.is_discard:
            scan.add(packet)
            if packet.is_corrupt:
                scan.damage.append(f"damaged data at {_clock(packet.pts, stream)}")
    return scan


def _packets(container: Any, stream: Any, scan: Scan) -> Iterator[Any]:
    try:
        yield from container.demux(stream)
    except (av.error.FFmpegError, OSError) as error:
        last = max(scan.ticks, default=None)
        scan.damage.append(f"the file cannot be read beyond {_clock(last, stream)} ({error.strerror})")


def missing_end(stream: Any, timing: Timing) -> list[str]:
    """Return a line of damage if the last frame ends more than a second before the stated end of the stream."""
    stated = (stream.duration or 0) * timing.time_base
    if stated and stated - timing.duration > _SECOND:
        return [f"the file ends early: {float(timing.duration):.2f} s of {float(stated):.2f} s are present"]
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
