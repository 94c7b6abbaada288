import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esrt_core.decoding import MAX_DEPTH, DecodeError, decode_json, decode_rows, decode_value


@dataclass(frozen=True)
class Row:
    source: str
    size: int = 0
    psnr: dict[str, float] = field(default_factory=dict)
    tile: int | None = None

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("the size is below 0")


ROW = Row("a\udc80b.png", 2**63, {"Set5": 33.5}, None)
finite = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def dump(row: Row, **more: object) -> bytes:
    return json.dumps({"source": row.source, "size": row.size, "psnr": row.psnr, "tile": row.tile, **more}).encode()


def test_a_row_is_read_as_it_was_written_with_a_name_that_is_not_utf8() -> None:
    assert decode_json(dump(ROW), Row) == ROW


def test_keys_of_later_versions_are_ignored_and_missing_ones_have_their_default() -> None:
    assert decode_json(dump(ROW, later=[1, {"x": None}]), Row) == ROW
    assert decode_json('{"source": "a"}', Row) == Row("a")


def test_an_integer_is_a_float_too() -> None:
    assert decode_json('{"source": "a", "psnr": {"Set5": 30}}', Row).psnr == {"Set5": 30.0}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b'{"source": "a", "si', "not JSON"),
        (b'{"source": "\xff"}', "not JSON"),
        (b'{"source": "a\x00"}', "not JSON"),
        ('{"source": "a"}'.encode("utf-16"), "not JSON"),
        (b"[" * 100_000, "too many levels"),
        (b'{"source": "a", "later": ' + b"[" * 100_000, "too many levels"),
        (b'{"source": "a", "later": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", f"more than {MAX_DEPTH} levels"),
        (b'{"source": "a", "psnr": {"Set5": NaN}}', "NaN"),
        (b'{"source": "a", "psnr": {"Set5": -Infinity}}', "-Infinity"),
        (b'{"source": "a", "psnr": {"Set5": 1e999}}', "not finite"),
        (b'{"source": "a", "size": 1' + b"0" * 400 + b"}", "64 bits"),
        (b'{"source": "a", "size": 1' + b"0" * 5000 + b"}", "limit"),
        (b'{"source": "a\\u0000b"}', "NUL"),
        (b'{"source": "a", "psnr": {"\\u0000": 1}}', "NUL"),
        (b'{"source": "\\ud800"}', "not Unicode"),
        (b'{"source": null}', "expected `str`, got `null` - at `$.source`"),
        (b'{"source": ["x"]}', "expected `str`, got `array` - at `$.source`"),
        (b'{"size": 1}', "missing required field `source`"),
        (b'{"source": "a", "size": true}', "expected `int`, got `bool`"),
        (b'{"source": "a", "size": 1.5}', "expected `int`, got `float`"),
        (b'{"source": "a", "size": -1}', "the size is below 0"),
        (b'["a"]', "expected `object`, got `array`"),
        (b"5", "expected `object`, got `int`"),
    ],
)
def test_content_that_is_not_a_row_is_one_kind_of_error_on_one_line(content: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_json(content, Row)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.slow
@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_no_content_raises_anything_else(content: bytes) -> None:
    for kind in (Row, dict[str, float], list[Row], int, str):
        with contextlib.suppress(DecodeError):
            assert isinstance(decode_json(content, kind), getattr(kind, "__origin__", kind))


@given(values, st.sampled_from(["source", "size", "psnr", "tile"]))
@pytest.mark.slow
def test_a_wrong_value_in_a_known_key_never_gets_into_a_row(value: Any, key: str) -> None:
    try:
        row = decode_value({"source": "a", key: value}, Row)
    except DecodeError:
        return
    assert getattr(row, key) == value
    assert decode_json(dump(row), Row) == row


@given(names, st.integers(0, 2**64 - 1), st.dictionaries(names, finite), st.none() | st.integers(0, 9000))
def test_every_row_comes_back(source: str, size: int, psnr: dict[str, float], tile: int | None) -> None:
    row = Row(source, size, psnr, tile)
    assert decode_json(dump(row), Row) == row


def test_lines_that_are_no_rows_are_ignored() -> None:
    lines = [dump(ROW), b"[" * 100_000, b"\0\0\0", b'{"source": 5}', b'{"source": "b"}', b'{"source": "c']
    assert list(decode_rows(lines, Row)) == [ROW, Row("b")]
