import imagecodecs
import numpy as np
import pytest
from PIL import Image

from esrt_core.media.picture import ReadLimits
from tests.media.pictures import first, noise, read, saved, written

SHAPES = [(9, 7), (9, 7, 2), (9, 7, 3), (9, 7, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_16_bit_png_is_16_bit_from_file_to_file(shape):
    samples = noise(*shape, dtype=np.uint16)
    source = read(imagecodecs.png_encode(samples))
    assert source.info.depth == 16
    assert source.info.has_alpha == (len(shape) == 3 and shape[2] in (2, 4))
    data, notes = written(source.pages, "png")
    assert notes == ()
    assert np.array_equal(imagecodecs.png_decode(data), samples)


def test_16_bit_png_is_oriented():
    samples = noise(9, 7, 3, dtype=np.uint16)
    plain = imagecodecs.png_encode(samples)
    exif = Image.Exif()
    exif[274] = 6
    small = saved(Image.new("RGB", (1, 1)), "PNG", exif=exif)
    at = small.index(b"eXIf") - 4
    chunk = small[at : at + 12 + int.from_bytes(small[at : at + 4], "big")]
    frame = first(plain[:33] + chunk + plain[33:]).frame
    assert np.array_equal(frame.planes[0], np.rot90(samples, -1))


def test_the_transparent_colour_of_a_16_bit_png_becomes_alpha():
    samples = np.array([[300, 301]], np.uint16)
    image = Image.frombytes("I;16", (2, 1), samples.tobytes())
    frame = first(saved(image, "PNG", transparency=300)).frame
    assert frame.alpha.tolist() == [[0, 65535]]
    assert frame.planes[0].tolist() == samples.tolist()


def test_deep_jpeg_2000_and_avif_keep_their_bits():
    samples = noise(16, 16, 3, dtype=np.uint16)
    assert np.array_equal(first(imagecodecs.jpeg2k_encode(samples, level=0, reversible=True)).frame.planes[0], samples)
    ten_bits = np.full((16, 16, 3), 1023, np.uint16)
    frame = first(imagecodecs.avif_encode(ten_bits, bitspersample=10)).frame
    assert frame.depth == 16
    assert frame.planes[0].min() > 65535 - 400


def test_a_truncated_16_bit_png_comes_with_8_bits():
    data = imagecodecs.png_encode(noise(64, 64, 3, dtype=np.uint16))
    picture = read(data[: len(data) // 2], ReadLimits(allow_truncated=True))
    assert next(iter(picture.pages)).frame.depth == 8
    assert any("16 bits reduced to 8" in note for note in picture.notes)
