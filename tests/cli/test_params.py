"""Colors and times as people write them."""

from fractions import Fraction

import pytest

from esrt_cli.params import parse_color, parse_time
from esrt_core.errors import OptionError


@pytest.mark.parametrize(
    ("text", "rgb"),
    [
        ("white", (255, 255, 255)),
        ("#f80", (255, 136, 0)),
        ("#FF8800", (255, 136, 0)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
        ("1,2,3", (1, 2, 3)),
        ("1, 2, 3", (1, 2, 3)),
        ("#11223344", (17, 34, 51)),
    ],
)
def test_every_spelling_is_understood(text: str, rgb: tuple[int, int, int]) -> None:
    assert parse_color(text) == rgb


@pytest.mark.parametrize("text", ["", "reddish", "1,2", "1,2,300", "#12"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="is not a color"):
        parse_color(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("10s", 10),
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("0.5h", 1800),
        ("1h2m3.5s", Fraction(7447, 2)),
        ("1:30", 90),
        ("1:00:00", 3600),
        ("0:01:30.5", Fraction(181, 2)),
        (" 0.1 ", Fraction(1, 10)),
    ],
)
def test_times_are_read_exactly(text: str, seconds: Fraction) -> None:
    assert parse_time(text, "--start") == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "1:2:3:4", "1e3", "nan", "m", "1d", "30m1h", "1h30", "1:30s", "1h 30m"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"--end .* is not a valid time; write 90, 90s"):
        parse_time(text, "--end")
