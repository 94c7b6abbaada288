"""AVIF and JPEG 2000: pixels of every depth, and metadata in boxes of ours."""

import io

import imagecodecs
import numpy as np
import pytest

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.cicp import CodePoints, from_properties
from esrt_core.media.image.isobmff import properties
from esrt_core.media.image.picture import Metadata, Page, Resolution
from tests.media.pictures import first, noise, picture, read, reopened, saved, srgb_profile, written

BLOCK = b"MM\0*\0\0\0\x08\0\1\x01\x3b\0\2\0\0\0\x05\0\0\0\x1a\0\0\0\0Jane\0"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
CARRIED = Metadata(icc=srgb_profile(), exif=BLOCK, xmp=XMP, resolution=Resolution(300.0, 150.5))
SMOOTH = (np.add.outer(np.arange(32) * 10, np.arange(48) * 10)[..., None] + np.array([0, 90, 200])).astype(np.uint16)


def page(bits: int, *, gray: bool = False, alpha: bool = False) -> Page:
    """A page of 16 bits with samples of 10 or 12 bits, as it is decoded."""
    wide = np.rint(SMOOTH * (65535 / 1023)).astype(np.uint16)
    plane = wide[..., 0].copy() if gray else wide
    return Page(
        Frame((plane,), ColorSpace.GRAY if gray else ColorSpace.RGB, 16, wide[..., 1].copy() if alpha else None),
        bits=bits,
    )


def of_file(file: bytes) -> list[tuple[bytes, bytes]]:
    return properties(lambda at, length: file[at : at + length], len(file))


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [10, 12])
def test_an_avif_keeps_10_and_12_bits(bits: int, gray: bool, alpha: bool) -> None:
    data, notes = written([page(bits, gray=gray, alpha=alpha)], "avif")
    assert notes == ()
    stored = imagecodecs.avif_decode(data)
    peak = 2**bits - 1
    expected = SMOOTH[..., 0] * (peak / 1023) if gray else SMOOTH * (peak / 1023)
    color = stored[..., : stored.shape[2] - alpha] if stored.ndim == 3 else stored
    assert stored.max() <= peak
    assert np.abs(np.squeeze(color) - expected).mean() < 0.006 * peak
    again = next(iter(read(data).pages))
    assert (again.bits, again.frame.space) == (bits, ColorSpace.GRAY if gray else ColorSpace.RGB)
    assert (again.frame.alpha is not None) == alpha


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
def test_an_avif_has_exif_xmp_and_profile(depth: int, alpha: bool) -> None:
    one = (
        page(10, alpha=alpha)
        if depth == 16
        else Page(Frame((np.asarray(picture()),), alpha=noise(20, 28) if alpha else None))
    )
    data, notes = written([one], "avif", CARRIED)
    info = reopened(data).info
    assert info["exif"].removeprefix(b"Exif\0\0") == BLOCK
    assert info["xmp"] == XMP
    assert info["icc_profile"] == srgb_profile()
    assert notes == ("resolution left out: AVIF cannot hold it",)
    assert imagecodecs.avif_decode(data).shape[2] == 3 + alpha


@pytest.mark.parametrize("color", [CodePoints(12, 13), CodePoints(9, 16), CodePoints(9, 18)])
def test_the_bitstream_and_the_container_of_an_avif_agree(color: CodePoints) -> None:
    data, _ = written([Page(Frame((np.asarray(picture()),)))], "avif", Metadata(color=color))
    assert from_properties(of_file(data)) == color
    assert sequence_color(data) == (color.primaries, color.transfer, 9 if color.primaries == 9 else 6)


def sequence_color(file: bytes) -> tuple[int, ...]:
    """The color description of a reduced still picture's AV1 sequence header (AV1 specification, 5.5.1 and 5.5.2)."""
    at = file.index(b"mdat") + 4
    while file[at] >> 3 != 1:
        at += 2 + file[at + 1]
    bits = "".join(f"{byte:08b}" for byte in file[at + 2 : at + 2 + file[at + 1]])
    assert bits[3:5] == "11"  # still_picture, reduced_still_picture_header
    width, height = int(bits[10:14], 2) + 1, int(bits[14:18], 2) + 1
    at = 18 + width + height + 3 + 3  # use_128x128_superblock to enable_intra_edge_filter; superres, cdef, restoration
    at += 1 + (bits[:3] != "001")  # high_bitdepth, mono_chrome
    assert bits[at] == "1"
    return tuple(int(bits[at + 1 + 8 * number : at + 9 + 8 * number], 2) for number in range(3))


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_jpeg_2000_is_exact_in_every_depth(bits: int, gray: bool, alpha: bool) -> None:
    dtype = np.uint8 if bits == 8 else np.uint16
    samples = noise(9, 7, 1 if gray else 3, dtype=dtype) >> (8 * np.dtype(dtype).itemsize - bits)
    plane = samples[..., 0].copy() if gray else samples
    space = ColorSpace.GRAY if gray else ColorSpace.RGB
    data, notes = written([Page(Frame((plane,), space, bits, samples[..., 0].copy() if alpha else None))], "jp2")
    assert notes == ()
    stored = imagecodecs.jpeg2k_decode(data)
    assert stored.dtype == dtype
    assert np.array_equal(np.squeeze(stored[..., :-1] if alpha else stored), plane)
    result, frame = read(data), first(data).frame
    assert (result.info.depth, result.info.space, result.info.has_alpha) == (8 if bits == 8 else 16, space, alpha)
    peak = 255 if bits == 8 else 65535
    assert np.array_equal(frame.planes[0], np.rint(plane.astype(np.float64) * peak / (2**bits - 1)))
    assert written(read(data).pages, "jp2")[0] == data


@pytest.mark.parametrize("depth", [8, 16])
def test_a_jpeg_2000_keeps_profile_exif_xmp_and_resolution(depth: int) -> None:
    one = page(10) if depth == 16 else Page(Frame((np.asarray(picture()),)))
    data, notes = written([one], "jp2", CARRIED)
    assert notes == ()
    decoded = read(data)
    assert decoded.metadata.icc == srgb_profile()
    assert decoded.metadata.exif == BLOCK
    assert decoded.metadata.xmp == XMP
    assert decoded.metadata.dpi == pytest.approx((300, 150.5), abs=0.01)
    assert reopened(data).info["dpi"] == pytest.approx((300, 150.5), abs=0.01)


def test_an_avif_from_pillow_keeps_its_metadata() -> None:
    given = saved(picture(), "AVIF", icc_profile=srgb_profile(), xmp=XMP)
    decoded = read(given)
    again = reopened(written(decoded.pages, "avif", decoded.metadata)[0])
    assert (again.info["icc_profile"], again.info["xmp"]) == (srgb_profile(), XMP)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [10, 12])
def test_a_heic_keeps_10_and_12_bits(bits: int, gray: bool, alpha: bool) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    data, notes = written([page(bits, gray=gray, alpha=alpha)], "heic", Metadata(exif=BLOCK, color=CodePoints(9, 16)))
    assert notes == ()
    stored = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    assert stored.info["bit_depth"] == bits
    decoded = read(data)
    again = next(iter(decoded.pages))
    assert (again.bits, again.frame.depth) == (bits, 16)
    expected = page(bits, gray=gray, alpha=alpha).frame
    plane = again.frame.planes[0].astype(int)
    assert np.abs(plane - expected.planes[0]).mean() < 0.006 * 65535
    assert (again.frame.alpha is not None) == alpha
    assert (decoded.metadata.exif, decoded.metadata.color) == (BLOCK, CodePoints(9, 16))
    assert decoded.notes == ()


def test_a_deep_heic_has_its_profile() -> None:
    pytest.importorskip("pillow_heif")
    data, _ = written([page(10)], "heic", Metadata(icc=srgb_profile(), xmp=XMP))
    info = read(data).metadata
    assert (info.icc, info.xmp) == (srgb_profile(), XMP)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("format", ["avif", "heic"])
def test_gray_pixels_are_read_back_as_gray(format: str, alpha: bool) -> None:
    if format == "heic":
        pytest.importorskip("pillow_heif")
    gray = (SMOOTH[..., 0] >> 2).astype(np.uint8)
    frame = Frame((gray,), ColorSpace.GRAY, 8, np.full_like(gray, 77) if alpha else None)
    data, _ = written([Page(frame)], format)
    decoded = read(data)
    found = first(data).frame
    assert decoded.info.space is found.space is ColorSpace.GRAY
    assert decoded.info.has_alpha == (found.alpha is not None) == alpha
    assert np.abs(found.planes[0].astype(int) - gray).max() <= 6
    assert found.alpha is None or set(found.alpha.ravel()) == {77}
