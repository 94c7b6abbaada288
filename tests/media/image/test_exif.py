from fractions import Fraction

import pytest

from esrt_core.errors import MediaError
from esrt_core.media.image import exif
from esrt_core.media.image.byte_order import little_endian
from esrt_core.media.image.exif import ASCII, LONG, RATIONAL, SHORT, UNDEFINED, Directories, Value

ORDERS = pytest.mark.parametrize("order", ["little", "big"])


def shorts(order: exif.Order, *values: int) -> Value:
    return Value(SHORT, len(values), b"".join(value.to_bytes(2, order) for value in values))


def rational(order: exif.Order, above: int, below: int) -> Value:
    return Value(RATIONAL, 1, above.to_bytes(4, order) + below.to_bytes(4, order))


def text(value: bytes) -> Value:
    return Value(ASCII, len(value), value)


@ORDERS
def test_built_directories_are_read_back(order: exif.Order) -> None:
    image, inner, gps = {271: text(b"Maker\0")}, {0x9286: Value(UNDEFINED, 3, b"abc")}, {2: rational(order, 1, 2)}
    given = Directories(order, image, inner, gps, {1: text(b"R98\0")})
    assert exif.directories(exif.build(given)) == given


@ORDERS
@pytest.mark.parametrize("turn", [1, 3, 6])
def test_the_focal_plane_turns_and_scales(order: exif.Order, turn: int) -> None:
    given = {0xA20E: rational(order, 3_072_000, 225), 0xA20F: rational(order, 100, 1)}
    block = exif.upright(exif.build(Directories(order, {}, given, {})), turn, 30, 20)
    found = exif.directories(exif.for_size(block, 90, 40, (3.0, 2.0))).exif
    across, down = Fraction(3_072_000, 225), Fraction(100)
    across, down = (down, across) if turn == 6 else (across, down)
    for tag, expected in ((0xA20E, 3 * across), (0xA20F, 2 * down)):
        raw = found[tag].raw
        assert Fraction(int.from_bytes(raw[:4], order), int.from_bytes(raw[4:], order)) == expected


def test_a_focal_plane_at_the_limit_of_32_bits_stays_close() -> None:
    given = {0xA20E: rational("big", 0xFFFFFFF0, 0xFFFFFFF1)}
    block = exif.for_size(exif.build(Directories("big", {}, given, {})), 3, 3, (1.37, 1.0))
    raw = exif.directories(block).exif[0xA20E].raw
    assert int.from_bytes(raw[:4]) / int.from_bytes(raw[4:]) == pytest.approx(1.37, rel=1e-6)


@ORDERS
def test_new_entries_leave_the_old_bytes_where_they_are(order: exif.Order) -> None:
    maker = Value(UNDEFINED, 50, bytes(range(50)))
    given = exif.build(Directories(order, {271: text(b"Maker\0")}, {0x927C: maker, 0x9286: text(b"old comment\0")}, {}))
    grown = exif.with_entries(given, {305: text(b"Software\0")}, {0x9286: Value(UNDEFINED, 9, b"ASCII\0\0\0x")})
    assert grown.index(maker.raw) == given.index(maker.raw)
    changed = [i for i in range(len(given)) if grown[i] != given[i]]
    pointer = given.index((0x8769).to_bytes(2, order)) + 8
    assert set(changed) <= {4, 5, 6, 7, *range(pointer, pointer + 4)}
    assert exif.value_of(grown, 271) == text(b"Maker\0")
    assert exif.value_of(grown, 305) == text(b"Software\0")
    assert exif.value_of(grown, 0x927C) == maker
    assert exif.value_of(grown, 0x9286) == Value(UNDEFINED, 9, b"ASCII\0\0\0x")


def test_a_block_without_an_exif_directory_gets_one() -> None:
    given = exif.build(Directories("big", {271: text(b"Maker\0")}, {}, {}))
    grown = exif.with_entries(given, {}, {0x9286: Value(UNDEFINED, 9, b"ASCII\0\0\0x")})
    assert exif.value_of(grown, 0x9286) == Value(UNDEFINED, 9, b"ASCII\0\0\0x")
    assert exif.value_of(grown, 271) == text(b"Maker\0")
    alone = exif.with_entries(None, {}, {0x9286: Value(UNDEFINED, 9, b"ASCII\0\0\0x")})
    assert exif.value_of(alone, 0x9286) == Value(UNDEFINED, 9, b"ASCII\0\0\0x")


def test_the_byte_order_of_encoded_text_changes_with_the_block() -> None:
    comment = b"UNICODE\0" + "a\u65e5".encode("utf-16-be")
    given = Directories("big", {0x112: shorts("big", 3)}, {0x9286: Value(UNDEFINED, len(comment), comment)}, {})
    swapped = little_endian(given)
    assert swapped.image[0x112].raw == b"\3\0"
    assert swapped.exif[0x9286].raw == b"UNICODE\0" + "a\u65e5".encode("utf-16-le")


@pytest.mark.parametrize(
    ("tag", "big", "little"),
    [
        (0xA302, b"\0\2\0\3\0\1\1\2\2\0", b"\2\0\3\0\0\1\1\2\2\0"),  # columns, rows, a byte for each
        (0xA20C, b"\0\1\0\1x\0\0\0\0\5\0\0\0\7", b"\1\0\1\0x\0\5\0\0\0\7\0\0\0"),  # names, rationals
        (0x8828, b"\0\1\0\1x\0\0\0\0\5\0\0\0\7", b"\1\0\1\0x\0\5\0\0\0\7\0\0\0"),
        (0xA40B, b"\0\1\0\1\0a\0\0", b"\1\0\1\0a\0\0\0"),  # UTF-16
        (0x8828, b"\1\0\1\0short", b"\1\0\1\0short"),
    ],
)
def test_the_byte_order_of_tables_changes_with_the_block(tag: int, big: bytes, little: bytes) -> None:
    given = Directories("big", {}, {tag: Value(UNDEFINED, len(big), big)}, {})
    assert little_endian(given).exif[tag].raw == little


@ORDERS
@pytest.mark.parametrize(
    ("stated", "subject", "expected"),
    [
        ((40, 20), (10, 5, 4, 2), (10, 20, 4, 8)),  # in px of the picture
        ((400, 200), (100, 50, 40, 20), (10, 20, 4, 8)),  # in px of the photo that the picture was reduced from
        ((40, 20), (100, 50, 40, 20), (200, 100, 80, 40)),  # of nothing that is known
    ],
)
def test_the_subject_of_a_reduced_photo_turns_with_it(
    order: exif.Order, stated: tuple[int, int], subject: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    inner = {0xA002: shorts(order, stated[0]), 0xA003: shorts(order, stated[1]), 0x9214: shorts(order, *subject)}
    block = exif.upright(exif.build(Directories(order, {}, inner, {})), 5, 40, 20)
    found = exif.directories(exif.for_size(block, 40, 80, (2.0, 2.0))).exif
    assert found[0x9214] == shorts(order, *expected)


@ORDERS
@pytest.mark.parametrize(("kind", "size"), [(1, 1), (SHORT, 2), (LONG, 4)])
def test_an_orientation_of_any_type_is_reset(order: exif.Order, kind: int, size: int) -> None:
    block = exif.build(Directories(order, {0x112: Value(kind, 1, (6).to_bytes(size, order))}, {}, {}))
    assert exif.orientation(block) == 6
    assert exif.orientation(exif.upright(block, 6, 4, 3)) == 1


@ORDERS
def test_a_value_that_overlaps_the_end_of_a_directory_is_not_changed(order: exif.Order) -> None:
    block = bytearray(exif.build(Directories(order, {0x11A: rational(order, 72, 1)}, {}, {})))
    block[22:26] = (72).to_bytes(4, order)  # where the offset of the next directory is
    entry = block.index((0x11A).to_bytes(2, order))
    block[entry + 8 : entry + 12] = (22).to_bytes(4, order)
    found = exif.value_of(exif.upright(bytes(block), 1, 4, 3), 0x11A)
    assert found is not None
    assert found.raw[:4] == (72).to_bytes(4, order)


@pytest.mark.parametrize(
    ("note", "movable"),
    [
        (b"Nikon\0\2\x10", True),
        (b"Apple iOS\0\0\1MM", True),
        (b"KDK INFO\1\2\3", True),
        (b"plain text only\0\0", True),
        (b"Nikon\0\1\0", False),
        (b"\x12\0\1\0\3\0", False),
        (b"Panasonic\0\0\0\x0f\0", False),
        (b"SONY DSC \0\0\0\x0f\0", False),
    ],
)
def test_maker_notes_are_kept_if_they_can_be_moved(note: bytes, movable: bool) -> None:
    block = exif.build(Directories("little", {}, {0x927C: Value(UNDEFINED, len(note), note)}, {}))
    found = exif.directories(block)
    assert (0x927C in found.exif) == movable
    assert found.lost_maker_notes == (not movable)


def test_a_bigtiff_directory_has_wide_fields() -> None:
    data = exif.directory_bytes({271: text(b"Maker name\0")}, 16, "little", big=True)
    assert data[:8] == (1).to_bytes(8, "little")
    assert data[8:12] == (271).to_bytes(2, "little") + b"\2\0"
    assert int.from_bytes(data[20:28], "little") == 16 + 8 + 20 + 8
    assert data[36:47] == b"Maker name\0"


@ORDERS
def test_numbers(order: exif.Order) -> None:
    assert exif.numbers(shorts(order, 7, 9), order) == [7.0, 9.0]
    assert exif.numbers(rational(order, 3, 4), order) == [0.75]
    assert exif.numbers(rational(order, 3, 0), order) == []
    assert exif.numbers(Value(LONG, 1, (70_000).to_bytes(4, order)), order) == [70_000.0]


def test_a_block_without_a_header_is_refused() -> None:
    with pytest.raises(MediaError, match="no TIFF header"):
        exif.order_of(b"rubbish!")


@ORDERS
@pytest.mark.parametrize("entries", [None, 5000])
def test_a_damaged_exif_directory_leaves_the_first_one(order: exif.Order, entries: int | None) -> None:
    whole = exif.build(Directories(order, {274: shorts(order, 6)}, {0xA002: shorts(order, 30)}, {}))
    at = int.from_bytes(exif.value_of(whole, 0x8769).raw, order)  # type: ignore[union-attr]
    damaged = whole[:at] if entries is None else whole[:at] + entries.to_bytes(2, order) + whole[at + 2 :]
    assert (exif.is_damaged_inside(whole), exif.is_damaged_inside(damaged)) == (False, True)
    assert exif.orientation(damaged) == 6
    assert exif.value_of(damaged, 0xA002) is None
    assert exif.directories(damaged).image == {274: shorts(order, 6)}
    assert exif.for_size(exif.upright(damaged, 6, 30, 20), 40, 60, (2.0, 2.0))[at:] == damaged[at:]
