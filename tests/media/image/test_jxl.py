"""JPEG XL of more than 8 bits: read from headers in every form, written with its metadata."""

import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import isobmff, jxl
from esrt_core.media.image.icc import is_nearly_srgb
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page
from tests.media.pictures import noise, picture, present, read, saved, written

pytest.importorskip("pillow_jxl")
BLOCK = b"MM\0*\0\0\0\x08\0\1\x01\x3b\0\2\0\0\0\x05\0\0\0\x1a\0\0\0\0Jane\0"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'


def jxl_file(samples: np.ndarray, bits: int | None = None, **parameters: Any) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(samples, **{"lossless": True, "bitspersample": bits} | parameters))


def header_of(file: bytes) -> jxl.Header | None:
    return jxl.read_header(lambda at, length: file[at : at + length], len(file))


@pytest.mark.parametrize("bits", [9, 10, 12, 13, 16])
@pytest.mark.parametrize("shape", [(6, 9), (8, 16, 3), (6, 300, 4), (2100, 9, 2)])
@pytest.mark.parametrize("in_boxes", [False, True])
def test_every_depth_is_read_exactly(bits: int, shape: tuple[int, ...], in_boxes: bool) -> None:
    samples = noise(*shape, dtype=np.uint16) >> (16 - bits)
    decoded = read(jxl_file(samples, bits, usecontainer=in_boxes))
    (page,) = decoded.pages
    wide = np.rint(samples.astype(np.float32) * np.float32(65535 / (2**bits - 1))).astype(np.uint16)
    has_alpha = len(shape) == 3 and shape[2] in (2, 4)
    space = ColorSpace.RGB if len(shape) == 3 and shape[2] > 2 else ColorSpace.GRAY
    assert (decoded.info.depth, page.bits, page.frame.space, decoded.info.has_alpha) == (16, bits, space, has_alpha)
    assert np.array_equal(page.frame.planes[0], np.squeeze(wide[..., :-1]) if has_alpha else wide)
    assert not has_alpha or np.array_equal(present(page.frame.alpha), wide[..., -1])
    assert decoded.notes == ()


def test_a_codestream_in_parts_is_found() -> None:
    samples = noise(6, 9, 3, dtype=np.uint16)
    file = jxl_file(samples, 16)
    at = file.index(b"jxlc") - 4
    codestream = file[at + 8 :]
    parts = [codestream[:40], codestream[40:]]
    boxes = [
        (len(part) + 12).to_bytes(4, "big") + b"jxlp" + (number | (number == 1) << 31).to_bytes(4, "big") + part
        for number, part in enumerate(parts)
    ]
    (page,) = read(file[:at] + b"".join(boxes)).pages
    assert np.array_equal(page.frame.planes[0], samples)


def test_floats_stay_floats() -> None:
    samples = noise(6, 9, 3).astype(np.float32) / 255
    (page,) = read(jxl_file(samples)).pages
    assert (page.frame.depth, page.frame.space) == (32, ColorSpace.RGB)
    assert np.array_equal(page.frame.planes[0], samples)
    (page,) = read(jxl_file(samples.astype(np.float16))).pages
    assert np.array_equal(page.frame.planes[0], samples.astype(np.float16))
    for channels in (2, 4):
        samples = noise(6, 9, channels).astype(np.float32) / 255
        decoded = read(jxl_file(samples))
        (page,) = decoded.pages
        assert (decoded.info.depth, decoded.info.has_alpha, decoded.notes) == (32, True, ())
        assert np.array_equal(page.frame.planes[0], np.squeeze(samples[..., :-1]))
        assert np.array_equal(present(page.frame.alpha), samples[..., -1])


def test_what_is_not_read_is_said() -> None:
    frames = noise(2, 6, 9, 3, dtype=np.uint16)
    decoded = read(jxl_file(frames))
    assert decoded.notes == ("only the first frame of the animated JPEG XL is read",)
    assert np.array_equal(next(iter(decoded.pages)).frame.planes[0], frames[0])


def test_headers_of_8_bits_and_damaged_ones() -> None:
    assert header_of(jxl_file(noise(6, 9, 3))) == jxl.Header()
    assert header_of(jxl_file(noise(6, 9, 3), usecontainer=False)[:4]) is None
    assert header_of(b"\0" * 40) is None
    assert header_of(jxl.CONTAINER + bytes(40)) is None


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (6, 9, 4)])
def test_16_bits_are_written_without_loss_when_asked(shape: tuple[int, ...]) -> None:
    samples = noise(*shape, dtype=np.uint16)
    color, alpha = (samples[..., :3], samples[..., 3]) if shape[-1] == 4 else (samples, None)
    space = ColorSpace.GRAY if len(shape) == 2 else ColorSpace.RGB
    page = Page(Frame((color,), space, 16, alpha))
    for options in (EncodeOptions(lossless=True), EncodeOptions(quality=100)):
        data, notes = written([page], "jxl", Metadata(exif=BLOCK, xmp=XMP), options)
        decoded = read(data)
        (again,) = decoded.pages
        assert notes == ()
        assert np.array_equal(again.frame.planes[0], color)
        assert alpha is None or np.array_equal(present(again.frame.alpha), alpha)
        assert (decoded.metadata.exif, decoded.metadata.xmp) == (BLOCK, XMP)
        assert is_nearly_srgb(present(decoded.metadata.icc), space)


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (6, 9, 4), (6, 9, 2)])
def test_floats_are_written_without_loss_and_beyond_one(shape: tuple[int, ...]) -> None:
    samples = noise(*shape).astype(np.float32) / 255
    samples[0, 0, ...] = 1
    samples.reshape(6, 9, -1)[0, 1, 0] = 4
    decoded = read(jxl.as_srgb(jxl_file(samples)))
    data, notes = written(decoded.pages, "jxl", decoded.metadata)
    assert notes == ()
    again = imagecodecs.jpegxl_decode(data)
    assert again.dtype == np.float32
    assert np.allclose(again, samples, atol=1e-6)
    assert is_nearly_srgb(present(read(data).metadata.icc), next(iter(decoded.pages)).frame.space)


def test_floats_become_16_bits_at_a_lossy_quality() -> None:
    samples = noise(6, 9, 3).astype(np.float32) / 255
    pages = read(jxl_file(samples)).pages
    data, notes = written(pages, "jxl", options=EncodeOptions(quality=90))
    assert notes == ("float values reduced to 16 bits: JPEG XL is not written with float values at that quality",)
    assert read(data).info.depth == 16
    assert written(pages, "jxl", options=EncodeOptions(quality=100))[1] == ()


def test_lossy_16_bits_are_srgb_to_every_reader() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256), (64, 1)).astype(np.uint16)
    color = np.dstack([ramp, ramp // 2, ramp[:, ::-1]])
    sizes = []
    for quality in (None, 40, 20):
        data, notes = written([Page(Frame((color,), depth=16))], "jxl", options=EncodeOptions(quality=quality))
        decoded = read(data)
        frame = next(iter(decoded.pages)).frame
        assert notes == ()
        assert np.abs(frame.planes[0] - color.astype(int)).mean() < (300 if quality is None else 2000)
        assert is_nearly_srgb(present(decoded.metadata.icc), ColorSpace.RGB)
        pillow = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        assert np.abs(pillow - color / 257).mean() < (2 if quality is None else 8)
        sizes.append(len(data))
    assert sizes[0] > sizes[1] > sizes[2]


def test_lossy_16_bits_look_as_8_do() -> None:
    eight = np.asarray(picture(size=(96, 64)))
    deep, _ = written([Page(Frame((eight.astype(np.uint16) * 257,), depth=16))], "jxl")
    plain, _ = written([Page(Frame((eight,)))], "jxl")
    frames = [next(iter(read(data).pages)).frame for data in (deep, plain)]
    errors = [np.abs(frame.planes[0] * (255 / frame.peak) - eight).mean() for frame in frames]
    assert 0.6 < errors[0] / errors[1] < 1.5
    assert 0.6 < len(deep) / len(plain) < 1.7


def in_brotli(kind: bytes, content: bytes) -> bytes:
    return isobmff.box(b"brob", kind, bytes(imagecodecs.brotli_encode(content)))


def with_boxes(*boxes: bytes) -> bytes:
    file = jxl_file(noise(6, 9, 3), usecontainer=True)
    at = file.index(b"jxlc") - 4
    return file[:at] + b"".join(boxes) + file[at:]


def test_compressed_metadata_is_read() -> None:
    given = with_boxes(in_brotli(b"Exif", b"\0\0\0\2xx" + BLOCK), in_brotli(b"xml ", XMP))
    decoded = read(given)
    assert (decoded.metadata.exif, decoded.metadata.xmp, decoded.notes) == (BLOCK, XMP, ())


def test_boxes_that_cannot_be_decompressed_are_said() -> None:
    decoded = read(with_boxes(in_brotli(b"xml ", bytes(20_000_000))))
    assert (decoded.metadata.xmp, decoded.notes) == (None, ("damaged XMP left out",))
    damaged = with_boxes(in_brotli(b"Exif", BLOCK)[:-6] + b"damage")
    with pytest.raises(MediaError, match="a box cannot be decompressed"):
        jxl.read_box(lambda at, length: damaged[at : at + length], len(damaged), b"Exif")


def test_boxes_of_other_kinds_are_said() -> None:
    data = saved(picture(), "JXL", lossless=True, use_container=True)
    assert read(data).notes == ()
    box = isobmff.box
    data += box(b"jumb", b"signed") + box(b"brob", b"priv", b"compressed") + box(b"jxli", b"index")
    assert read(data).notes == ("boxes of other kinds (jumb, priv) left out",)
