"""The merged image of every kind of Photoshop file.

Pixels of files of Photoshop, Affinity Photo and GIMP were compared with ImageMagick's and KDE's.
"""

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace
from esrt_core.media.image import psd
from esrt_core.media.image.picture import ReadLimits
from tests.media.pictures import first, noise, present, read

BITMAP, GRAY, INDEXED, RGB, CMYK, MULTICHANNEL, DUOTONE, LAB = 0, 1, 2, 3, 4, 7, 8, 9


def stored_rows(planes: np.ndarray, compression: int, large: bool) -> bytes:
    rows = planes.reshape(-1, planes.shape[-1])
    if compression == 3:
        rows = np.diff(rows, axis=1, prepend=np.zeros((len(rows), 1), rows.dtype))
    lines = [row.astype(row.dtype.newbyteorder(">")).tobytes() for row in rows]
    if compression == 1:
        lines = [bytes(imagecodecs.packbits_encode(line)) for line in lines]
        lines.insert(0, np.array([len(line) for line in lines], ">u4" if large else ">u2").tobytes())
    return zlib.compress(b"".join(lines)) if compression > 1 else b"".join(lines)


def file_of(
    mode: int,
    planes: np.ndarray,
    compression: int = 0,
    *,
    bits: int = 8,
    width: int | None = None,
    large: bool = False,
    layers: int = 0,
    resources: bytes = b"",
    palette: bytes = b"",
) -> bytes:
    """A Photoshop file of channels (C, H, W); those of a bitmap have 8 pixels in each byte."""
    count, height, row = planes.shape
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1 + large, count, height, width or row, bits, mode)
    wide = ">Q" if large else ">I"
    info = struct.pack(wide, 6) + struct.pack(">h4x", layers) + bytes(4) if layers else b""
    parts = [header, struct.pack(">I", len(palette)), palette, struct.pack(">I", len(resources)), resources]
    parts += [struct.pack(wide, len(info)), info, struct.pack(">H", compression)]
    return b"".join([*parts, stored_rows(planes, compression, large)])


@pytest.mark.parametrize("compression", range(4))
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("stored", [1, 3, 4])
def test_gray_and_rgb_are_exact(compression: int, large: bool, dtype: type[np.generic], stored: int) -> None:
    if dtype is np.uint8 and not large and compression > 1:
        pytest.skip("Photoshop writes such with 16 bits only")
    planes = noise(stored, 5, 7, dtype=dtype)
    data = file_of(GRAY if stored == 1 else RGB, planes, compression, bits=8 * planes.itemsize, large=large)
    decoded = read(data)
    (page,) = decoded.pages
    color = planes[0] if stored == 1 else np.moveaxis(planes[:3], 0, -1)
    assert np.array_equal(page.frame.planes[0], color)
    assert (page.frame.alpha is None) == (stored < 4)
    assert stored < 4 or np.array_equal(present(page.frame.alpha), planes[3])
    assert (decoded.info.depth, decoded.info.has_alpha, decoded.notes) == (8 * planes.itemsize, stored == 4, ())


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("mode", [GRAY, RGB, CMYK])
def test_channels_beside_those_of_color_do_not_disturb_them(mode: int, compression: int) -> None:
    """Pillow takes the lengths of their rows for pixels."""
    count = {GRAY: 1, RGB: 3, CMYK: 4}[mode]
    planes = noise(count + 2, 5, 7)
    page = first(file_of(mode, planes, compression))
    assert np.array_equal(page.frame.planes[0], first(file_of(mode, planes[:count])).frame.planes[0])
    assert page.frame.alpha is None
    assert read(file_of(mode, planes, compression)).notes[-1:] == (
        "further channels of the Photoshop file (2) left out",
    )


@pytest.mark.parametrize("mode", [GRAY, RGB, CMYK, LAB])
@pytest.mark.parametrize("bits", [8, 16])
def test_transparency_is_alpha_and_colors_lose_the_white(mode: int, bits: int) -> None:
    color = {GRAY: (90,), RGB: (200, 100, 40), CMYK: (155, 205, 235, 245), LAB: (150, 160, 90)}[mode]
    white = {GRAY: (255,), RGB: (255,) * 3, CMYK: (255,) * 4, LAB: (255, 128, 128)}[mode]
    alpha = np.tile(np.linspace(100, 255, 16).astype(int), (3, 1))
    share = alpha / 255
    mixed = [own * share + matte * (1 - share) for own, matte in zip(color, white, strict=True)]
    planes = np.rint(np.stack([*mixed, alpha, alpha])).astype(np.uint8)
    stored = planes if bits == 8 else planes.astype(np.uint16) * 257
    decoded = read(file_of(mode, stored, bits=bits, layers=-1))
    (page,) = decoded.pages
    assert np.allclose(present(page.frame.alpha) / page.frame.peak * 255, alpha)
    solid = np.broadcast_to(np.array(color, np.uint8)[:, None, None], (len(color), 3, 16))
    expected = first(file_of(mode, solid)).frame.planes[0]
    assert np.abs(page.frame.planes[0] / page.frame.peak * 255 - expected).max() <= (3 if mode != LAB else 6)
    assert decoded.info.has_alpha
    assert "further channels of the Photoshop file (1) left out" in decoded.notes
    assert (f"{psd.CONVERTED.get(mode)} reduced to 8 bits" in decoded.notes) == (mode in psd.CONVERTED and bits == 16)


def test_a_fourth_channel_without_transparency_is_no_white_matte() -> None:
    planes = noise(4, 3, 5)
    for layers in (0, 2):
        frame = first(file_of(RGB, planes, layers=layers)).frame
        assert np.array_equal(frame.planes[0], np.moveaxis(planes[:3], 0, -1))
        assert np.array_equal(present(frame.alpha), planes[3])
    assert first(file_of(GRAY, planes[:2], layers=2)).frame.alpha is None


def test_a_bitmap_is_black_where_its_bits_are_set() -> None:
    pixels = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1, 0], [0, 1, 1, 1, 1, 1, 1, 1, 0, 1]], np.uint8)
    rows = np.packbits(pixels, axis=1)[None]
    for compression in (0, 1):
        decoded = read(file_of(BITMAP, rows, compression, bits=1, width=10))
        assert np.array_equal(next(iter(decoded.pages)).frame.planes[0], (1 - pixels) * 255)
        assert (decoded.info.space, decoded.info.depth) == (ColorSpace.GRAY, 8)


def test_lab_has_the_colors_that_it_names() -> None:
    """L 53, a 80, b 67 is red (sRGB 255 0 0), gray has a and b of 0."""
    planes = np.array([[[round(53.24 * 2.55), 128]], [[128 + 80, 128]], [[128 + 67, 128]]], np.uint8)
    (red, gray) = first(file_of(LAB, planes)).frame.planes[0][0].astype(int)
    assert np.abs(red - (255, 0, 0)).max() < 40  # D50 against D65
    assert gray.max() - gray.min() <= 3
    assert read(file_of(LAB, planes)).notes == ("LAB converted to sRGB",)


def test_a_palette_may_have_a_transparent_index() -> None:
    palette = np.zeros((3, 256), np.uint8)
    palette[:, 1], palette[:, 2] = (10, 20, 30), (40, 50, 60)
    indices = np.array([[[1, 2, 1]]], np.uint8)
    index = b"8BIM\4\x17\0\0\0\0\0\2\0\2"
    frame = first(file_of(INDEXED, indices, resources=index, palette=palette.tobytes())).frame
    assert frame.planes[0].tolist() == [[[10, 20, 30], [40, 50, 60], [10, 20, 30]]]
    assert present(frame.alpha).tolist() == [[255, 0, 255]]
    plain = first(file_of(INDEXED, indices, palette=palette.tobytes())).frame
    assert plain.alpha is None
    assert plain.planes[0].tolist() == frame.planes[0].tolist()


def test_what_is_not_read_is_said() -> None:
    planes = noise(4, 3, 5)
    decoded = read(file_of(MULTICHANNEL, planes, 1))
    assert decoded.notes == ("only the first of 4 channels of the multichannel Photoshop file is read, as gray",)
    assert np.array_equal(next(iter(decoded.pages)).frame.planes[0], planes[0])
    assert read(file_of(DUOTONE, planes[:1])).notes == ("the inks of the duotone are left out: it is read as gray",)
    for data in (file_of(RGB, noise(3, 2, 4), bits=32), file_of(12, planes)):
        with pytest.raises(MediaError, match="is a Photoshop file"):
            read(data)


@pytest.mark.parametrize("large", [False, True])
def test_what_is_left_of_a_cut_file_is_decoded_only_when_that_is_allowed(large: bool) -> None:
    planes = noise(3, 8, 5, dtype=np.uint16)
    cut = file_of(RGB, planes, bits=16, large=large)[:-40]
    with pytest.raises(MediaError, match="20 of 120 samples are missing"):
        read(cut)
    decoded = read(cut, ReadLimits(allow_truncated=True))
    assert np.array_equal(next(iter(decoded.pages)).frame.planes[0][:4], np.moveaxis(planes, 0, -1)[:4])
    with pytest.raises(MediaError):
        read(file_of(RGB, planes, 1, bits=16)[:-400])


def test_lengths_beyond_every_file_are_no_error_of_ours() -> None:
    data = bytearray(file_of(RGB, noise(4, 3, 5), large=True, layers=-1))
    data[34:42] = b"\xff" * 8
    with pytest.raises(MediaError):
        read(bytes(data))


def test_pillow_still_gets_what_it_reads_right() -> None:
    plain = file_of(RGB, noise(3, 3, 5))
    header: Any = psd.read_header(plain[:26], lambda at, length: plain[at : at + length])
    assert header.is_read_by_pillow
    assert np.array_equal(first(plain).frame.planes[0], np.asarray(Image.open(io.BytesIO(plain))))
    assert psd.read_header(b"8BPS\0\1" + bytes(20), lambda at, length: b"") is None
    assert psd.read_header(b"8BPS", lambda at, length: b"") is None
