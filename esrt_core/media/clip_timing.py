"""Timing: when the frames of a clip are shown, and whether at a constant rate. Exact fractions only."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

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
