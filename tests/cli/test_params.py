"""Colors as people write them."""

import pytest

from esrt_cli.params import parse_color
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
