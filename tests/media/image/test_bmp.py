"""BMP with bit fields of any width. Values were compared with ImageMagick, which shifts where we scale."""

import io
import struct

import numpy as np
import pytest

from esrt_core.errors import MediaError
from esrt_core.media.image import bmp
from esrt_core.media.image.picture import RemoteFile
from tests.media.pictures import picture, present, read, saved

Masks = tuple[int, int, int, int]


def file_of(masks: Masks, rows: list[list[int]], bits: int = 32, header: int = 56, compression: int = 3) -> bytes:
    """A BMP of pixels from the top row down, stored from the bottom up."""
    width, height = len(rows[0]), len(rows)
    pixels = b"".join(
        b"".join(pixel.to_bytes(bits // 8, "little") for pixel in row).ljust(-(-width * bits // 32) * 4, b"\0")
        for row in rows[::-1]
    )
    start = 14 + max(header, 56)
    info = struct.pack("<IiiHHI", header, width, height, 1, bits, compression) + bytes(20) + struct.pack("<4I", *masks)
    head = b"BM" + struct.pack("<I4xI", start + len(pixels), start)
    return (head + info.ljust(start - 14, b"\0")) + pixels


@pytest.mark.parametrize(
    ("masks", "bits", "pixel", "expected"),
    [
        ((0xF00, 0xF0, 0xF, 0xF000), 16, 0x8F07, [255, 0, 119, 136]),
        ((0x30, 0xE, 0x1, 0), 16, 0x2D, [170, 219, 255]),
        ((0x1F, 0x7E0, 0xF800, 0), 16, 0xF81F, [255, 0, 255]),
        ((0xFF, 0xFF00, 0xFF0000, 0), 32, 0x00030201, [1, 2, 3]),
        ((0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000), 32, 0x400003FF, [0, 0, 65535, 21845]),
        ((0xFFE00000, 0x1FFC00, 0x3FF, 0), 32, 0xFFE00400, [65535, 32, 0]),
    ],
)
def test_bits_of_any_width_are_scaled(masks: Masks, bits: int, pixel: int, expected: list[int]) -> None:
    decoded = read(file_of(masks, [[pixel, 0], [0, 0]], bits))
    (page,) = decoded.pages
    frame = page.frame
    found = frame.planes[0][0, 0].tolist() + ([] if frame.alpha is None else [int(frame.alpha[0, 0])])
    assert found == expected
    assert frame.planes[0][1, 1].tolist() == [0, 0, 0]
    info = decoded.info
    assert (info.width, info.height, info.depth, info.has_alpha) == (2, 2, frame.depth, len(expected) == 4)
    assert decoded.notes == ()


def test_masks_behind_a_short_header_and_rows_from_the_top() -> None:
    data = bytearray(file_of((0x1F, 0x7E0, 0xF800, 0xFFFF), [[0x1F, 0, 0], [0, 0, 0xF800]], 16, header=40))
    assert next(iter(read(bytes(data)).pages)).frame.planes[0][0, 0].tolist() == [255, 0, 0]
    data[22:26] = struct.pack("<i", -2)
    frame = next(iter(read(bytes(data)).pages)).frame
    assert frame.planes[0][1, 0].tolist() == [255, 0, 0]
    assert frame.planes[0][0, 2].tolist() == [0, 0, 255]


def test_alpha_that_is_0_everywhere_was_not_meant() -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    frame = next(iter(read(file_of(masks, [[0x102030]], compression=6)).pages)).frame
    assert (frame.planes[0].tolist(), present(frame.alpha).tolist()) == ([[[16, 32, 48]]], [[255]])
    frame = next(iter(read(file_of(masks, [[0x80102030, 0]], compression=6)).pages)).frame
    assert present(frame.alpha).tolist() == [[128, 0]]


def test_what_pillow_reads_it_still_gets_and_odd_masks_are_no_fields() -> None:
    assert bmp.fields_of(saved(picture(), "BMP")) is None
    assert bmp.fields_of(file_of((0xFF0000, 0xFF00, 0xFF, 0), [[0]])) is None
    for masks in ((0xF0F, 0xF0, 0xF000, 0), (0, 0xF0, 0xF, 0), (0xFF0000, 0xFF00, 0xFF, 0)):
        assert bmp.fields_of(file_of(masks, [[0]], 16)) is None
    assert bmp.fields_of(file_of((0xF00, 0xF0, 0xF, 0), [[0]], 16, header=64)) is None
    with pytest.raises(MediaError, match="3 of 4 samples are missing"):
        read(file_of((0x1F, 0x7E0, 0xF800, 0), [[0, 0], [0, 0]], 16)[:-6])


def test_a_dib_without_the_header_of_a_file_is_known_by_its_name() -> None:

    dib = saved(picture(), "DIB")
    decoded = read(RemoteFile("a.dib", lambda: io.BytesIO(dib)))
    assert decoded.info.format.name == "bmp"
    assert np.array_equal(next(iter(decoded.pages)).frame.planes[0], np.asarray(picture()))


def test_a_variant_that_no_decoder_knows_is_not_called_damaged() -> None:
    data = bytearray(saved(picture(), "BMP"))
    data[28:30] = b"\2\0"
    with pytest.raises(MediaError, match=r"cannot be read .*pixel depth .*; convert it to TIFF or PNG first") as caught:
        read(bytes(data))
    assert "damaged" not in str(caught.value)
