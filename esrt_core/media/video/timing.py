"""Find when the frames of a clip are shown and at which rate, from its packets, without decoding: exact fractions.

A constant rate is one on whose grid all frames lie. Times that were once rounded to milliseconds lie on it to within
that rounding, whatever the time base of the container is now. Otherwise the rate is chosen by counting, over the whole
clip, the frames that it would lose and repeat. Rates that the container states and standard rates come before computed
ones: an average that is stated is often inexact.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NTSC_RATES = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))
_WHOLE_RATES = tuple(map(Fraction, (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120, 144, 240)))
_STANDARD_RATES = (*_WHOLE_RATES, *_NTSC_RATES)
_HIGHEST = Fraction(240)  # to which a variable rate is converted; a constant one may be higher
_NEAR = Fraction(1, 200)
_ROUNDING = Fraction(1, 1000)  # seconds; times pass through containers that count milliseconds
_DRIFT = Fraction(1, 10_000)  # relative; 24000/1001 and 24 differ by ten times as much
_FEW_REPEATS = 10  # one repeated frame in this many makes a rate a poor fit
_FEW_LOST = 200  # losing one frame in this many is better than repeating most of them
_NEARLY_EQUAL = 500  # rates that differ by less than one slot in this many, as 60 and 60000/1001 do
_SECOND = Fraction(1)


@dataclass(frozen=True)
class Timing:
    """Describe when frames are shown.

    time_base  seconds of one tick.
    first      tick of the first frame.
    last       tick of the last frame.
    end        tick at which the last frame ends.
    frames     packets that contain a frame; fewer may be decodable if the clip is damaged.
    rate       frames a second; if `variable`, the constant rate that fits best.
    repeats    frames that have to be repeated at this rate.
    lost       frames that have to be dropped at this rate.
    """

    time_base: Fraction
    first: int
    last: int
    end: int
    frames: int
    rate: Fraction
    variable: bool
    repeats: int = 0
    lost: int = 0

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

    `last_duration` is that of the last frame in ticks, 0 if unknown. `stated_rates` are those of the container.
    """
    if len(ticks) == 1:
        rate = next((rate for rate in stated_rates if 0 < rate <= _HIGHEST), Fraction(25))
        end = ticks[0] + (last_duration or _frame_ticks(rate, time_base))
        return Timing(time_base, ticks[0], ticks[0], end, 1, rate, variable=False)
    stated = [rate for rate in stated_rates if rate > 0]
    times = np.asarray(ticks, dtype=np.int64) - ticks[0]
    constant = _constant_rate(times, time_base, stated)
    if constant is not None:
        return _timing(ticks, _frame_ticks(constant, time_base), time_base, _Fit(constant, 0, 0, 0.0), variable=False)
    best = _best_fit(times, time_base, stated)
    last_duration = last_duration or _frame_ticks(best.rate, time_base)
    return _timing(ticks, last_duration, time_base, best, variable=True)


@dataclass(frozen=True)
class _Fit:
    """Count what a constant rate does to the frames; `error` is the mean distance to the grid, in frames."""

    rate: Fraction
    lost: int
    repeats: int
    error: float


def _timing(ticks: Sequence[int], last_duration: int, time_base: Fraction, fit: _Fit, variable: bool) -> Timing:
    end = ticks[-1] + last_duration
    return Timing(time_base, ticks[0], ticks[-1], end, len(ticks), fit.rate, variable, fit.repeats, fit.lost)


def _frame_ticks(rate: Fraction, time_base: Fraction) -> int:
    return max(round(1 / (rate * time_base)), 1)


def _constant_rate(times: NDArray[np.int64], time_base: Fraction, stated: Sequence[Fraction]) -> Fraction | None:
    """Return the first rate on whose grid all frames lie: to within a tick, or else a rounding to milliseconds.

    A container that rounds the length of a frame, such as 33,367 us, makes a standard rate drift a little.
    """
    mean = _mean_rate(times, time_base)
    standard = sorted(_STANDARD_RATES, key=lambda rate: abs(rate - mean))
    trusted = [rate for rate in stated if rate in _STANDARD_RATES]
    computed = [rate for rate in (_tidy(1 / mean, Fraction(0)),) if rate <= _HIGHEST]
    rates = list(dict.fromkeys((*trusted, *standard, *stated, *computed)))
    tick = Fraction(3, 2)
    for slack in (tick, tick + _ROUNDING / time_base):
        for rate in rates:
            if _on_grid(times, time_base, rate, slack):
                return next((near for near in standard if _drifts_to(rate, near, len(times))), rate)
    return None


def _drifts_to(rate: Fraction, standard: Fraction, frames: int) -> bool:
    """Return whether a rate is nearly a standard one, and the clip too short for them to differ by half a frame."""
    difference = abs(rate / standard - 1)
    return difference <= _DRIFT and difference * frames < Fraction(1, 2)


def _on_grid(times: NDArray[np.int64], time_base: Fraction, rate: Fraction, slack: Fraction) -> bool:
    """Return whether frame i is shown at i / rate, within `slack` ticks and a quarter of a frame."""
    step = 1 / (rate * time_base)
    slack = min(slack, step / 4)
    if abs(int(times[-1]) - (len(times) - 1) * step) > slack:  # most rates end here
        return False
    # |time - i * n / d| <= slack in integers
    grid = np.arange(len(times), dtype=object if _is_large(times, step) else np.int64) * step.numerator
    return bool(np.all(np.abs(times.astype(grid.dtype) * step.denominator - grid) <= int(slack * step.denominator)))


def _is_large(times: NDArray[np.int64], step: Fraction) -> bool:
    """Return whether products of times could exceed 64 bits."""
    largest = max(int(times[-1]), len(times)) + 1
    return largest * max(step.numerator, step.denominator) * 4 >= 2**63


def _best_fit(times: NDArray[np.int64], time_base: Fraction, stated: Sequence[Fraction]) -> _Fit:
    """Return the rate that loses no frame and repeats fewest; few may be lost if the others repeat most frames."""
    computed = _computed_rates(times, time_base)
    rates = dict.fromkeys(rate for rate in (*stated, *_STANDARD_RATES, *computed) if rate <= _HIGHEST)
    fits = [_fit(times, time_base, rate) for rate in rates]
    frames = len(times)
    lossless = [fit for fit in fits if not fit.lost]
    close = [fit for fit in lossless if fit.repeats * _FEW_REPEATS <= frames]
    almost = [fit for fit in fits if fit.lost * _FEW_LOST <= frames and fit.repeats * _FEW_REPEATS <= frames]
    is_ntsc = any(rate in _NTSC_RATES for rate in stated)

    def rank(fit: _Fit) -> tuple[bool, int, bool, float]:
        is_standard = fit.rate in stated or fit.rate in _STANDARD_RATES
        size = 0 if is_standard else fit.rate.denominator  # of computed rates the simplest
        return (fit.rate not in stated, size, (fit.rate in _NTSC_RATES) != is_ntsc, fit.error)

    choice = close or almost or lossless or fits
    least = min(choice, key=lambda fit: (fit.lost, fit.repeats))
    most = least.repeats + (frames + least.repeats) // _NEARLY_EQUAL
    return min((fit for fit in choice if fit.lost == least.lost and fit.repeats <= most), key=rank)


def _fit(times: NDArray[np.int64], time_base: Fraction, rate: Fraction) -> _Fit:
    """Count the lost and repeated frames if every frame is shown in the nearest slot of a rate."""
    step = 1 / (rate * time_base)
    numbers = times.astype(object) if _is_large(times, step) else times
    slots = (numbers * (2 * step.denominator) + step.numerator) // (2 * step.numerator)
    slots = slots.astype(np.int64)
    used = len(np.unique(slots))
    error = float(np.mean(np.abs(times / float(step) - slots)))
    return _Fit(rate, len(times) - used, int(slots[-1]) + 1 - used, error)


def _mean_rate(times: NDArray[np.int64], time_base: Fraction) -> Fraction:
    return (len(times) - 1) / (int(times[-1]) * time_base)


def _computed_rates(times: NDArray[np.int64], time_base: Fraction) -> list[Fraction]:
    """Return the rates of the shortest common distance, of the mean distance, and of a little less than that."""
    mean = 1 / _mean_rate(times, time_base)
    distances = Counter((times[1:] - times[:-1]).tolist())
    enough = max((len(times) - 1) // 20, 1)
    common = min(
        distance for distance, count in distances.items() if count >= enough or count == max(distances.values())
    )
    # The exact mean, too: a phone's 30.02 drifts off the grid of 30.
    exact = [min((1 / mean).limit_denominator(limit), _HIGHEST) for limit in (50, 1001)]
    periods = (mean, mean * Fraction(99, 100), mean * Fraction(96, 100))
    tidy = [_tidy(common * time_base, time_base), *(_tidy(period, Fraction(0)) for period in periods)]
    return [rate for rate in (*tidy, *exact) if rate]


def _tidy(period: Fraction, rounding: Fraction) -> Fraction:
    """Return the standard rate nearest to a distance between frames, or the distance's own rate."""
    nearest = min(_STANDARD_RATES, key=lambda rate: abs(1 / rate - period))
    if abs(1 / nearest - period) <= max(rounding, period * _NEAR):
        return nearest
    return min(max((1 / period).limit_denominator(1001), Fraction(1)), _HIGHEST)


def missing_end(stream: Any, timing: Timing) -> list[str]:
    """Return a line of damage if the last frame ends more than a second before the stated end of the stream."""
    stated = (stream.duration or 0) * timing.time_base
    if stated and stated - timing.duration > _SECOND:
        return [f"the file ends early: {float(timing.duration):.2f} s of {float(stated):.2f} s are present"]
    return []


def timed(ticks: dict[int, int], stream: Any) -> Timing:
    """Return the timing of frames that have times: tick and duration of each."""
    shown = sorted(ticks)
    rates = [Fraction(rate) for rate in (stream.base_rate, stream.guessed_rate, stream.average_rate) if rate]
    return timing_of(shown, ticks[shown[-1]], Fraction(stream.time_base), rates)


def counted(count: int, slots: Sequence[int], stream: Any) -> Timing:
    """Return the timing of frames that follow each other at the stated rate, one tick each; `slots` if some are empty.

    An empty frame of AVI is time: the frame before it is shown longer.
    """
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    rate = next((Fraction(each) for each in rates if each), Fraction(25))
    if not slots:
        return Timing(1 / rate, 0, count - 1, count, count, rate, variable=False)
    length = slots[-1] - slots[0] + 1
    return Timing(1 / rate, slots[0], slots[-1], slots[-1] + 1, count, rate, variable=True, repeats=length - count)
