from fractions import Fraction

import pytest

from esrt_core.media.video.timing import timing_of

MS = Fraction(1, 1000)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_a_constant_rate_is_seen_through_times_rounded_to_milliseconds(rate: Fraction) -> None:
    ticks = [round(i / rate / MS) for i in range(500)]
    timing = timing_of(ticks, 0, MS, [rate])
    assert (timing.rate, timing.variable) == (rate, False)


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
