"""What is said about a truncated file is true."""

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import Page, ReadLimits
from tests.media.pictures import first, noise, read, saved, written

LENIENT = ReadLimits(allow_truncated=True)


def note_of(data: bytes) -> str:
    return read(data, LENIENT).notes[0]


@pytest.mark.parametrize("format", ["BMP", "PPM", "TIFF"])
def test_the_rows_of_raw_pixels_are_counted(format: str) -> None:
    data = saved(Image.fromarray(noise(40, 16, 3)), format)
    if format == "TIFF":  # one strip of raw pixels, behind them nothing
        file = io.BytesIO()
        Image.fromarray(noise(40, 16, 3)).save(file, "TIFF", tiffinfo={278: 40})
        data = file.getvalue()
        start = data.index(noise(40, 16, 3).tobytes()[:48])
        cut = data[: start + 30 * 48]
    else:
        cut = data[: -10 * 48]
    if format == "BMP":  # from the bottom up
        assert note_of(cut) == "the file is truncated or damaged: 25 % of the image is missing"
    else:
        assert note_of(cut) == "the file is truncated or damaged: the last 10 of 40 rows are missing (25 %)"


def test_the_rows_of_a_png_are_counted() -> None:
    pixels = noise(64, 64, 3)
    data = saved(Image.fromarray(pixels), "PNG", compress_level=0)
    cut = data[: len(data) // 2]
    frame = first(cut, LENIENT).frame
    kept = next(row for row in range(64) if not np.array_equal(frame.planes[0][row], pixels[row]))
    assert 28 <= kept <= 32
    missing = 64 - kept
    expected = f"the last {missing} of 64 rows are missing ({missing / 64:.0%}".replace("%", " %)")
    assert note_of(cut) == f"the file is truncated or damaged: {expected}"


def test_the_rows_of_a_jpeg_are_counted() -> None:
    pixels = np.asarray(Image.fromarray(noise(16, 16, 3)).resize((128, 128)))
    data = saved(Image.fromarray(pixels), "JPEG", quality=95, subsampling="4:4:4")
    whole = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    cut = data[: len(data) // 2]
    frame = first(cut, LENIENT).frame.planes[0].astype(int)
    right = (np.abs(frame - whole).max(axis=(1, 2)) <= 2).sum()
    note = note_of(cut)
    missing = int(note.split("the last ")[1].split(" of ")[0])
    assert note.startswith("the file is truncated or damaged: the last ")
    assert abs((128 - missing) - right) <= 8


def test_of_a_progressive_jpeg_detail_is_missing() -> None:
    data = saved(Image.fromarray(noise(64, 64, 3)), "JPEG", progressive=True)
    assert note_of(data[: len(data) * 3 // 4]) == (
        "the file is truncated or damaged: fine detail is missing, or part of the image"
    )


def test_the_row_before_a_wrong_checksum_is_counted() -> None:
    data = bytearray(saved(Image.fromarray(noise(8, 8, 3)), "PNG"))
    at = data.index(b"IDAT") + 4 + int.from_bytes(data[data.index(b"IDAT") - 4 : data.index(b"IDAT")], "big") - 1
    data[at] ^= 1  # the checksum within the deflated data
    assert note_of(bytes(data)) == "the file is truncated or damaged: the last 1 of 8 rows are missing (12 %)"
    assert not first(bytes(data), LENIENT).frame.planes[0][7].any()


def test_the_rows_of_a_deep_png_are_counted_too() -> None:
    data = bytes(imagecodecs.png_encode(noise(64, 64, 3, dtype=np.uint16), level=0))
    assert "of 64 rows are missing" in note_of(data[: len(data) // 2])


def test_of_a_deep_ppm() -> None:
    data = written([Page(Frame((noise(40, 16, 3, dtype=np.uint16) | 256,), depth=16))], "ppm")[0]
    assert note_of(data[: -10 * 96]) == "the file is truncated or damaged: the last 10 of 40 rows are missing (25 %)"
