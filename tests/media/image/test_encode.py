import errno
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import MediaError, OptionError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.decode import probe
from esrt_core.media.image.encode import encode
from esrt_core.media.image.formats import (
    AVIF,
    ENCODER_ERRORS,
    FALLBACK,
    FORMATS,
    GIF,
    PNG,
    WEBP,
    Format,
    check_fits,
    format_named,
    written_as,
)
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page, ValueRange
from tests.media.pictures import (
    LIMITS,
    ffmpeg_frames,
    first,
    frame_of,
    gray_profile,
    noise,
    picture,
    present,
    read,
    reopened,
    saved,
    written,
)

RGB = Page(Frame((np.kron(noise(5, 7, 3), np.ones((8, 8, 1), np.uint8)),)))
ALPHA = Page(Frame(RGB.frame.planes, alpha=np.full((40, 56), 128, np.uint8)))
WRITTEN = [entry for entry in FORMATS if entry.writable and not entry.extra]
QUANTIZED = ("gif", "pfm")  # to 256 colors, and to the range of the values
LOSSLESS = [each.name for each in WRITTEN if each.default_quality is None and each.name not in QUANTIZED]


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_keep_every_value(format: str) -> None:
    assert np.array_equal(frame_of(written([RGB], format)[0], format).planes[0], RGB.frame.planes[0])


@pytest.mark.parametrize("format", LOSSLESS)
def test_another_program_reads_the_same_pixels(format: str, tmp_path: Path) -> None:
    path = (tmp_path / "a").with_suffix(present(format_named(format)).extensions[0])
    path.write_bytes(written([RGB], format)[0])
    assert np.array_equal(ffmpeg_frames(path, (40, 56))[0, ..., :3], RGB.frame.planes[0])


@pytest.mark.parametrize("format", [each.name for each in WRITTEN if each.default_quality is not None])
def test_quality_is_good_by_default_and_can_be_chosen(format: str) -> None:
    data, _ = written([RGB], format)
    error = first(data).frame.planes[0].astype(int) - RGB.frame.planes[0]
    assert np.abs(error).mean() < 8  # WebP halves the resolution of color
    small, _ = written([RGB], format, options=EncodeOptions(quality=20))
    assert len(small) < len(data)


def test_lossless_webp_on_request_unless_a_quality_is_given() -> None:
    data, _ = written([RGB], "webp", options=EncodeOptions(lossless=True))
    assert np.array_equal(first(data).frame.planes[0], RGB.frame.planes[0])
    assert probe(written([RGB], "webp", options=EncodeOptions(lossless=True, quality=50))[0], LIMITS).lossless is False


def test_a_quality_without_effect_is_noted() -> None:
    assert written([RGB], "png", options=EncodeOptions(quality=50))[1] == ("--quality has no effect on PNG",)


@pytest.mark.parametrize("format", [each.name for each in WRITTEN if each.alpha and each is not GIF])
def test_alpha_is_kept(format: str) -> None:
    assert np.all(np.abs(present(frame_of(written([ALPHA], format)[0], format).alpha).astype(int) - 128) < 3)


def test_alpha_is_laid_on_the_background_and_noted() -> None:
    hidden = Page(Frame(RGB.frame.planes, alpha=np.zeros((40, 56), np.uint8)))
    data, notes = written([hidden], "bmp", options=EncodeOptions(background=(1, 2, 3)))
    assert np.all(first(data).frame.planes[0] == (1, 2, 3))
    assert notes == ("transparency flattened onto #010203: BMP has none",)
    opaque = Page(Frame(RGB.frame.planes, alpha=np.full((40, 56), 255, np.uint8)))
    assert written([opaque], "jpeg")[1] == ()


def test_16_bits_into_8_are_rounded_and_noted() -> None:
    page = Page(Frame((np.array([[0, 128, 129, 65535]], np.uint16),), ColorSpace.GRAY, 16))
    data, notes = written([page], "bmp")
    assert first(data).frame.planes[0].tolist() == [[0, 0, 1, 255]]
    assert notes == ("16 bits reduced to 8: BMP is not written with more",)


def test_ten_bits_fill_16() -> None:
    page = Page(Frame((np.array([[0, 1023]], np.uint16),), ColorSpace.GRAY, 10))
    assert first(written([page], "png")[0]).frame.planes[0].tolist() == [[0, 65535]]


def test_floats_into_integers_are_noted_with_their_range() -> None:
    page = Page(Frame((np.array([[0, 1]], np.float32),), ColorSpace.GRAY, 32), value_range=ValueRange(0, 200))
    data, notes = written([page], "png")
    assert first(data).frame.planes[0].tolist() == [[0, 65535]]
    assert "scaled from 0..200" in notes[0]


@pytest.mark.parametrize("format", [each.name for each in WRITTEN if each.gray])
def test_gray_stays_gray(format: str) -> None:
    page = Page(Frame((np.kron(noise(5, 7), np.ones((8, 8), np.uint8)),), ColorSpace.GRAY))
    assert frame_of(written([page], format)[0], format).space is ColorSpace.GRAY


def test_gray_in_a_format_without_gray_has_no_tint() -> None:
    page = Page(Frame((noise(8, 8),), ColorSpace.GRAY))
    options = EncodeOptions(lossless=True)
    data, _ = written([page], "webp", Metadata(icc=gray_profile()), options)
    color = first(data).frame.planes[0]
    assert np.array_equal(color, np.repeat(page.frame.planes[0][..., None], 3, axis=2))
    assert read(data).metadata.icc is None


def test_half_transparency_in_a_gif_is_noted() -> None:
    assert "GIF has nothing between" in written([ALPHA], "gif")[1][0]


def test_files_and_pipes(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        received = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            Pipe.received += bytes(data)
            return len(data)

    for format in ("png", "tiff"):
        Pipe.received = b""
        path = tmp_path / f"a.{format}"
        encode([RGB], path, format, Metadata(), EncodeOptions())
        encode([RGB], cast(BinaryIO, Pipe()), format, Metadata(), EncodeOptions())
        assert np.array_equal(first(Pipe.received).frame.planes[0], first(path).frame.planes[0])


def test_formats_that_are_not_written_are_refused_or_replaced() -> None:
    with pytest.raises(OptionError, match="choose one of png"):
        written([RGB], "psd")
    assert written_as(present(format_named("ico"))) is FALLBACK
    assert written_as(WEBP) is WEBP


@pytest.mark.parametrize("entry", [each for each in WRITTEN if each.max_side and each is not AVIF])
def test_side_limits_are_those_of_the_encoder(entry: Format, tmp_path: Path) -> None:
    side = present(entry.max_side)
    row = Image.new("L", (side, 1))
    assert saved(row, entry.pillow[0])
    with pytest.raises(ENCODER_ERRORS):
        saved(Image.new("L", (side + 1, 1)), entry.pillow[0])
    check_fits(entry, side, 1)
    with pytest.raises(MediaError, match="use --format png or tiff"):
        check_fits(entry, 1, side + 1)


def test_avif_s_limits_are_those_of_its_decoder() -> None:
    data = saved(Image.new("L", (present(AVIF.max_side), 1)), "AVIF", speed=10)
    assert reopened(data).width == AVIF.max_side
    with pytest.raises(MediaError, match="px in total"):
        check_fits(AVIF, 32_768, 8_193)


def test_png_has_no_limit_that_a_picture_meets() -> None:
    check_fits(PNG, 1_000_001, 1)
    assert saved(Image.new("L", (1_000_001, 1)), "PNG")


def test_an_oversized_result_is_refused_before_encoding() -> None:
    wide = Page(Frame((np.zeros((1, 16_384, 3), np.uint8),)))
    with pytest.raises(MediaError, match="16384 x 1 px is too large for WebP"):
        written([wide], "webp")


def test_a_full_disk_passes_as_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        written([RGB], "png")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on a file's size")
@pytest.mark.parametrize("format", ["png", "jpeg", "jpeg2000", "tiff"])
def test_a_file_system_that_refuses_passes_with_its_number(format: str, tmp_path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError) as raised:  # noqa: PT011 (its number is looked at)
            encode([Page(Frame((noise(300, 300, 3),)))], tmp_path / "a", format, Metadata(), EncodeOptions())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno == errno.EFBIG


def test_noise_that_takes_more_than_a_byte_a_px_is_a_jpeg_too() -> None:
    data, _ = written([Page(Frame((noise(300, 300, 3),)))], "jpeg")
    assert len(data) > 300 * 300
    assert first(data).frame.planes[0].shape == (300, 300, 3)


def test_an_encoder_s_refusal_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("encoder error -2 when writing image file")

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(MediaError, match="cannot write the result as PNG"):
        written([RGB], "png")


def test_errors_of_the_pages_are_not_taken_for_the_encoder_s() -> None:
    def pages() -> Iterator[Page]:
        yield RGB
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        written(pages(), "tiff")


def test_every_format_s_name_and_extensions_are_its_own() -> None:
    extensions = [extension for entry in FORMATS for extension in entry.extensions]
    assert len(set(extensions)) == len(extensions)
    assert len({entry.name for entry in FORMATS}) == len(FORMATS)
    assert picture().size == (28, 20)
