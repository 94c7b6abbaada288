import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.picture import Page, ReadLimits, ValueRange
from esrt_core.media.image.pixels import (
    integers_to_16,
    layout_of,
    normalize,
    read_page,
    restore,
    shown_size,
    stored_view,
    widen_to_16,
    without_needless_color,
)
from esrt_core.media.image.png import build
from tests.media.pictures import first, noise, picture, present, read, saved, srgb_profile, written


def page_of(image: Image.Image, icc: bytes | None = None) -> Page:
    return read_page(image, layout_of(image, icc), icc)


def frame_of(image: Image.Image, icc: bytes | None = None) -> Frame:
    return page_of(image, icc).frame


@pytest.mark.parametrize("mode", ["1", "L"])
def test_gray_modes_stay_gray(mode: str) -> None:
    frame = frame_of(picture(mode))
    assert (frame.space, frame.depth, frame.alpha) == (ColorSpace.GRAY, 8, None)
    assert np.array_equal(frame.planes[0], np.asarray(picture(mode).convert("L")))


@pytest.mark.parametrize("mode", ["LA", "La"])
def test_gray_with_alpha_is_straight(mode: str) -> None:
    straight = Image.fromarray(np.dstack([np.full((3, 4), 200, np.uint8), np.full((3, 4), 51, np.uint8)]))
    frame = frame_of(straight.convert(mode))
    assert frame.space is ColorSpace.GRAY
    assert np.all(frame.alpha == 51)
    assert np.all(frame.planes[0] == 200)


@pytest.mark.parametrize("mode", ["RGB", "RGBX", "YCbCr", "HSV"])
def test_color_modes_become_rgb(mode: str) -> None:
    image = picture(mode)
    frame = frame_of(image)
    assert (frame.space, frame.depth, frame.alpha) == (ColorSpace.RGB, 8, None)
    assert np.array_equal(frame.planes[0], np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "RGBa"])
def test_color_with_alpha_is_straight(mode: str) -> None:
    straight = Image.fromarray(np.full((3, 4, 4), (200, 100, 50, 51), np.uint8))
    frame = frame_of(straight.convert(mode))
    assert np.all(frame.alpha == 51)
    assert np.all(frame.planes[0] == (200, 100, 50))


@pytest.mark.parametrize(("mode", "key"), [("1", 0), ("L", 0), ("RGB", (0, 0, 0))])
def test_a_transparent_value_becomes_alpha(mode: str, key: int | tuple[int, ...]) -> None:
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert(mode)
    image.info["transparency"] = key
    frame = frame_of(image)
    assert present(frame.alpha).tolist() == [[0, 255]]
    assert frame.space is (ColorSpace.RGB if mode == "RGB" else ColorSpace.GRAY)


def palette_image(colors: list[tuple[int, int, int]], transparency: int | bytes | None = None) -> Image.Image:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([value for color in colors for value in color])
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def test_a_gray_palette_stays_gray() -> None:
    frame = frame_of(palette_image([(7, 7, 7), (200, 200, 200)]))
    assert frame.space is ColorSpace.GRAY
    assert frame.planes[0].tolist() == [[7, 200]]


def test_a_gray_palette_with_an_rgb_profile_stays_rgb() -> None:
    assert frame_of(palette_image([(7, 7, 7), (200, 200, 200)]), srgb_profile()).space is ColorSpace.RGB


def test_a_color_palette_becomes_rgb() -> None:
    assert frame_of(palette_image([(7, 8, 9), (200, 1, 2)])).planes[0].tolist() == [[[7, 8, 9], [200, 1, 2]]]


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"])
@pytest.mark.parametrize("colors", [[(7, 8, 9), (200, 1, 2)], [(7, 7, 7), (200, 200, 200)]])
def test_palette_transparency_becomes_alpha(colors: list[tuple[int, int, int]], transparency: int | bytes) -> None:
    assert present(frame_of(palette_image(colors, transparency)).alpha).tolist() == [[0, 255]]


def test_palette_with_alpha() -> None:
    image = Image.frombytes("PA", (2, 2), bytes([1, 51] * 4))
    image.putpalette([0, 0, 0, 100, 100, 100])
    frame = frame_of(image)
    assert np.all(frame.alpha == 51)
    assert np.all(frame.planes[0] == 100)


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_cmyk_and_lab_become_srgb_and_say_so(mode: str) -> None:
    image = Image.new("CMYK", (4, 3), (0, 255, 255, 0)) if mode == "CMYK" else Image.new("LAB", (4, 3), (255, 128, 128))
    page = page_of(image)
    assert page.frame.space is ColorSpace.RGB
    assert np.allclose(page.frame.planes[0][0, 0], [255, 0, 0] if mode == "CMYK" else [255, 255, 255], atol=1)
    assert mode in page.notes[0]


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_16_bits_in_both_byte_orders(mode: str) -> None:
    values = np.array([[1, 256, 65535]], np.uint16)
    image = Image.frombytes("I;16", (3, 1), values.astype("<u2").tobytes())
    frame = frame_of(image if mode == "I;16" else image.convert("I").convert(mode))
    assert (frame.space, frame.depth) == (ColorSpace.GRAY, 16)
    assert frame.planes[0].tolist() == values.tolist()


def test_integers_become_16_bits() -> None:
    frame = frame_of(Image.fromarray(np.array([[0, 40000]], np.int32)))
    assert frame.depth == 16
    assert frame.planes[0].tolist() == [[0, 40000]]


def test_floats_beyond_1_are_scaled_into_the_frame() -> None:
    page = page_of(Image.fromarray(np.array([[0, 50, 200]], np.float32)))
    assert page.frame.depth == 32
    assert page.frame.planes[0].tolist() == [[0, 0.25, 1]]
    assert page.value_range == ValueRange(0, 200)


def test_tall_pictures_are_read_in_bands() -> None:
    pixels = noise(600, 3, 3)
    assert np.array_equal(frame_of(Image.fromarray(pixels)).planes[0], pixels)


def test_needless_alpha_and_color_are_dropped() -> None:
    gray = np.repeat(noise(4, 4, 1), 3, axis=2)
    opaque = Image.fromarray(np.dstack([gray, np.full((4, 4), 255, np.uint8)]))
    frame = without_needless_color(page_of(opaque)).frame
    assert (frame.space, frame.alpha) == (ColorSpace.GRAY, None)
    assert np.array_equal(frame.planes[0], gray[..., 0])


SHAPES = [(9, 7), (9, 7, 2), (9, 7, 3), (9, 7, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_16_bit_png_is_16_bit_from_file_to_file(shape: tuple[int, ...]) -> None:
    samples = noise(*shape, dtype=np.uint16)
    source = read(bytes(imagecodecs.png_encode(samples)))
    assert source.info.depth == 16
    assert source.info.has_alpha == (len(shape) == 3 and shape[2] in (2, 4))
    data, notes = written(source.pages, "png")
    assert notes == ()
    assert np.array_equal(imagecodecs.png_decode(data), samples)


def test_16_bit_png_is_oriented() -> None:
    samples = noise(9, 7, 3, dtype=np.uint16)
    plain = bytes(imagecodecs.png_encode(samples))
    exif = Image.Exif()
    exif[274] = 6
    small = saved(Image.new("RGB", (1, 1)), "PNG", exif=exif)
    at = small.index(b"eXIf") - 4
    chunk = small[at : at + 12 + int.from_bytes(small[at : at + 4], "big")]
    frame = first(plain[:33] + chunk + plain[33:]).frame
    assert np.array_equal(frame.planes[0], np.rot90(samples, -1))


def test_the_transparent_color_of_a_16_bit_png_becomes_alpha() -> None:
    samples = np.array([[300, 301]], np.uint16)
    image = Image.frombytes("I;16", (2, 1), samples.tobytes())
    frame = first(saved(image, "PNG", transparency=300)).frame
    assert present(frame.alpha).tolist() == [[0, 65535]]
    assert frame.planes[0].tolist() == samples.tolist()


def test_deep_jpeg_2000_and_avif_keep_their_bits() -> None:
    samples = noise(16, 16, 3, dtype=np.uint16)
    assert np.array_equal(
        first(bytes(imagecodecs.jpeg2k_encode(samples, level=0, reversible=True))).frame.planes[0], samples
    )
    ten_bits = np.full((16, 16, 3), 1023, np.uint16)
    frame = first(bytes(imagecodecs.avif_encode(ten_bits, bitspersample=10))).frame
    assert frame.depth == 16
    assert frame.planes[0].min() > 65535 - 400


def test_a_truncated_16_bit_png_comes_with_8_bits() -> None:
    data = bytes(imagecodecs.png_encode(noise(64, 64, 3, dtype=np.uint16)))
    picture = read(data[: len(data) // 2], ReadLimits(allow_truncated=True))
    assert next(iter(picture.pages)).frame.depth == 8
    assert any("16 bits reduced to 8" in note for note in picture.notes)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_view_orients_like_pillow(orientation: int) -> None:
    stored = noise(9, 7, 3)
    image = Image.fromarray(stored)
    image.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    width, height = shown_size(7, 9, orientation)
    shown = np.empty((height, width, 3), np.uint8)
    stored_view(shown, orientation)[...] = stored
    assert np.array_equal(shown, expected)


def test_integers_that_fit_stay() -> None:
    samples, notes = integers_to_16(np.array([[0, 65535]], np.int32))
    assert samples.tolist() == [[0, 65535]]
    assert notes == ()


def test_wide_unsigned_integers_keep_their_upper_bits() -> None:
    samples, notes = integers_to_16(np.array([[0, 2**32 - 1]], np.uint32))
    assert samples.tolist() == [[0, 65535]]
    assert notes == ("32 bits reduced to 16",)


def test_signed_integers_are_stretched() -> None:
    samples, notes = integers_to_16(np.array([[-100, 0, 100]], np.int16))
    assert samples.tolist() == [[0, 32768, 65535]]
    assert notes == ("values from -100 to 100 stretched over 16 bits",)


def test_twelve_bits_become_sixteen() -> None:
    assert widen_to_16(np.array([[0, 4095]], np.uint16), 4095).tolist() == [[0, 65535]]


def test_floats_within_0_and_1_stay() -> None:
    values = np.array([[0.25, 0.5]], np.float32)
    normal, value_range, notes = normalize(values)
    assert np.array_equal(normal, values)
    assert value_range is None
    assert notes == ()


@pytest.mark.parametrize("values", [[[-3.0, 250.0]], [[0.5, 4.0]], [[-0.5, 0.2]]])
def test_other_floats_are_scaled_and_restored(values: list[list[float]]) -> None:
    normal, value_range, _ = normalize(np.array(values, np.float64))
    assert normal.min() >= 0
    assert normal.max() <= 1
    assert np.allclose(restore(normal, present(value_range)), values, atol=1e-4)


def test_what_is_not_finite_is_replaced_and_noted() -> None:
    normal, _, notes = normalize(np.array([[np.nan, np.inf, 0.25, 0.75, -np.inf]], np.float32))
    assert normal.tolist() == [[0.25, 0.75, 0.25, 0.75, 0.25]]
    assert "undefined ones by the lowest" in notes[0]


@pytest.mark.parametrize(("bits", "value"), [(1, 1), (2, 2), (4, 5), (8, 77)])
def test_the_transparent_gray_of_a_png_is_in_its_own_bits(bits: int, value: int) -> None:
    samples = [value, 0, value, 0] if bits == 1 else [value, 0, value - 1, value - 2]
    packed = int("".join(f"{sample:0{bits}b}" for sample in samples).ljust(-(-4 * bits // 8) * 8, "0"), 2)
    row = b"\0" + packed.to_bytes(-(-4 * bits // 8), "big")
    header = bytes([0, 0, 0, 4, 0, 0, 0, 1, bits, 0, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"tRNS", bytes([0, value])), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    frame = first(build(chunks)).frame
    assert present(frame.alpha).tolist() == [[0, 255, 0 if bits == 1 else 255, 255]]
    assert frame.planes[0][0].tolist() == [sample * 255 // (2**bits - 1) for sample in samples]
