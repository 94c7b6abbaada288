"""Numbers for people."""

import pytest

from esrt_cli.figures import counted, duration, expected, figure, rate, size, time_left


@pytest.mark.parametrize(
    ("number", "plural", "text"),
    [
        (0, "pictures", "0 pictures"),
        (1, "pictures", "1 picture"),
        (2, "pictures", "2 pictures"),
        (12345, "tiles", "12,345 tiles"),
        (1, "bytes", "1 byte"),
        (1, "patches", "1 patch"),
    ],
)
def test_one_is_singular(number: int, plural: str, text: str) -> None:
    assert counted(number, plural) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (0.5, "0.50"), (1.25, "1.2"), (12.6, "13"), (1234.5, "1,234"), (2.5e7, "25,000,000")],
)
def test_no_figure_is_in_scientific_notation(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("per_second", "words", "short"),
    [
        (24.9, "25 frames per second", "25/s"),
        (1.0, "1.0 frames per second", "1.0/s"),
        (0.1, "6.0 frames per minute", "6.0/min"),
        (0.001, "3.6 frames per hour", "3.6/h"),
        (0.0001, "0.36 frames per hour", "0.36/h"),
        (0.0, "0 frames per second", "0/s"),
    ],
)
def test_a_rate_has_the_period_in_which_it_is_at_least_one(per_second: float, words: str, short: str) -> None:
    assert rate(per_second, "frames") == (words, short)


@pytest.mark.parametrize(
    ("seconds", "words", "clock"),
    [
        (0.0, "1 s", "0:01"),  # work remains as long as this is shown
        (0.04, "1 s", "0:01"),
        (11.2, "12 s", "0:12"),
        (250, "4 min 10 s", "4:10"),
        (7_510, "2 h 5 min", "2:05:10"),
    ],
)
def test_time_left_is_never_nothing(seconds: float, words: str, clock: str) -> None:
    assert time_left(seconds) == (words, clock)


def test_durations() -> None:
    assert [duration(each) for each in (0.04, 9.94, 9.96, 59.4, 59.6, 3599, 7260)] == [
        "0.0 s", "9.9 s", "10 s", "59 s", "1 min 0 s", "59 min 59 s", "2 h 1 min",
    ]  # fmt: skip


def test_expected_time_of_short_work_is_said_too() -> None:
    assert [expected(each) for each in (None, 30.0, 55.0, 200.0)] == [
        "under a minute", "under a minute", "about 55 s", "about 3 min 20 s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (999_600, "1.0 MB"),
        (80_400_000_000, "80 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_terabytes_stay_terabytes() -> None:
    assert size(1_500_000_000_000) == "1.5 TB"
