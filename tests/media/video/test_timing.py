from fractions import Fraction

import numpy as np
import pytest

from esrt_core.media.video.timing import timing_of

MS = Fraction(1, 1000)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_a_constant_rate_is_seen_through_times_rounded_to_milliseconds(rate: Fraction) -> None:
    ticks = [round(i / rate / MS) for i in range(500)]
    timing = timing_of(ticks, 0, MS, [rate])
    assert (timing.rate, timing.variable) == (rate, False)


@pytest.mark.parametrize("base", [Fraction(1, 16000), Fraction(1, 90000)])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30), Fraction(60000, 1001), Fraction(60)])
@pytest.mark.parametrize("count", [10, 432_000])
def test_times_that_were_milliseconds_once_have_their_rate(base: Fraction, rate: Fraction, count: int) -> None:
    numbers = np.arange(count, dtype=np.int64)
    milliseconds = (numbers * 2000 * rate.denominator + rate.numerator) // (2 * rate.numerator)
    ticks = [int(tick) for tick in milliseconds * int(MS / base)]
    inexact = (rate * Fraction(1001, 1000)).limit_denominator(400)
    timing = timing_of(ticks, 0, base, [rate, rate, inexact])
    assert (timing.rate, timing.variable) == (rate, False)


def test_telecined_film_has_one_slot_for_every_frame() -> None:
    ticks = [round((5 * (i // 2) + 3 * (i % 2)) * 1001 / 60) for i in range(2000)]
    timing = timing_of(ticks, 0, MS, [Fraction(30000, 1001)])
    assert (timing.rate, timing.variable, timing.repeats, timing.lost) == (Fraction(24000, 1001), True, 0, 0)


@pytest.mark.parametrize(
    ("name", "ticks", "stated", "rate", "repeats"),
    [
        ("a phone's clock", [round(i * 90000 / 30.02) + i * 7919 % 500 - 250 for i in range(18000)], 30, "1501/50", 0),
        ("dropped frames", [i * 3600 for i in range(500) if i not in (100, 200, 300)], 25, "25", 3),
        ("a screen", [1500 * (i + i // 10 * 20) for i in range(400)], 60, "60", None),
        ("a thermal camera", list(np.cumsum([8100 + i * 7919 % 8100 for i in range(84)])), 1000, None, None),
    ],
)
def test_no_frame_is_lost_and_few_are_repeated(
    name: str, ticks: list[int], stated: int, rate: str | None, repeats: int | None
) -> None:
    timing = timing_of(ticks, 0, Fraction(1, 90000), [Fraction(stated)])
    assert (timing.variable, timing.lost) == (True, 0), name
    assert rate is None or timing.rate == Fraction(rate), name
    slots = round((ticks[-1] - ticks[0]) * Fraction(1, 90000) * timing.rate) + 1
    assert timing.repeats == (slots - len(ticks) if repeats is None else repeats), name


def test_a_constant_rate_above_240_is_not_variable() -> None:
    timing = timing_of([i * 4 for i in range(100)], 0, MS, [Fraction(250)])
    assert (timing.rate, timing.variable) == (Fraction(250), False)


def test_a_constant_rate_is_found_where_none_is_stated() -> None:
    rate = Fraction(24000, 1001)
    timing = timing_of([round(i / rate / MS) for i in range(500)], 0, MS, [])
    assert (timing.rate, timing.variable) == (rate, False)


def test_a_stated_rate_that_the_times_contradict_is_not_believed() -> None:
    timing = timing_of([i * 40 for i in range(50)], 0, MS, [Fraction(30)])
    assert (timing.rate, timing.variable) == (Fraction(25), False)


def test_missing_frames_make_the_rate_variable_on_the_grid_of_the_others() -> None:
    ticks = [i * 3000 for i in range(100) if i % 7]
    timing = timing_of(ticks, 3000, Fraction(1, 90000), [Fraction(180, 7)])
    assert (timing.rate, timing.variable) == (Fraction(30), True)


def test_the_duration_holds_the_last_frame() -> None:
    timing = timing_of([10, 50, 90], 0, MS, [Fraction(25)])
    assert (timing.start, timing.duration) == (Fraction(1, 100), Fraction(12, 100))


def test_a_single_frame_has_the_stated_rate_and_its_own_length() -> None:
    timing = timing_of([0], 40, MS, [Fraction(25)])
    assert (timing.rate, timing.variable, timing.end) == (Fraction(25), False, 40)


def test_ticks_as_coarse_as_frames_are_constant() -> None:
    timing = timing_of(range(20), 0, Fraction(1, 25), [Fraction(25)])
    assert (timing.rate, timing.variable) == (Fraction(25), False)
