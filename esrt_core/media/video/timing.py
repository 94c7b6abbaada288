"""Timing: when the frames of a clip are shown, and whether at a constant rate. Exact fractions only.

The packets of a clip's picture, read without decoding: when its frames are shown, and what is missing.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
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
    """Say when frames are shown.

    time_base  seconds of one tick.
    first      tick of the first frame.
    last       tick of the last frame.
    end        tick at which the last frame ends.
    frames     how many packets hold a frame; a damaged clip may give fewer.
    rate       frames a second; where `variable`, the constant rate that shows them best.
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

    `last_duration` is that of the last frame in ticks, 0 where it is unknown. `stated_rates` are those that the
    container states: one of them counts where the frames lie on its grid, to within the rounding of a tick.
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
    """Say whether frame i is shown at i / rate, give or take a tick and a half (less where a frame has few ticks)."""
    first, step = ticks[0], 1 / (rate * time_base)
    slack = min(Fraction(3, 2), step / 4)
    # Cheap integers for what may be a million frames: |tick - first - i * n / d| <= slack
    numerator, denominator = step.numerator, step.denominator
    limit = slack * denominator
    return all(abs((tick - first) * denominator - i * numerator) <= limit for i, tick in enumerate(ticks))


def _likely_rate(ticks: Sequence[int], time_base: Fraction) -> list[Fraction]:
    """Return the constant rates that fit best: of the mean distance, or of the shortest one that is common."""
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
    """Return the common rate that a distance between frames means, or its own rate with a small denominator."""
    nearest = min(_COMMON_RATES, key=lambda common: abs(1 / common - period))
    if abs(1 / nearest - period) <= max(rounding, period * _NEAR):
        return nearest
    return min(max((1 / period).limit_denominator(1001), Fraction(1)), _HIGHEST)


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
