"""Files of more than 8 bits that Pillow reduces or refuses."""

import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.picture import Metadata, Page, ReadLimits
from esrt_core.media.image.png import build
from tests.media.pictures import first, noise, present, psd_file, read, run_length_sgi, saved, srgb_profile, written

SMOOTH = np.add.outer(np.arange(16) * 100, np.arange(24) * 60)[..., None] + np.array([0, 300, 700])  # below 4096


def jpeg_12(samples: np.ndarray, exif: bytes = b"") -> bytes:
    data = bytes(imagecodecs.jpeg8_encode(samples.astype(np.uint16), level=98, bitspersample=12))
    segment = b"Exif\0\0" + exif
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:] if exif else data


def test_a_jpeg_of_12_bits_is_read_in_16() -> None:
    decoded = read(jpeg_12(SMOOTH))
    (page,) = decoded.pages
    assert (decoded.info.format.name, decoded.info.depth, page.bits) == ("jpeg", 16, 12)
    assert np.abs(page.frame.planes[0] - SMOOTH * (65535 / 4095)).max() < 40 * 16
    assert np.abs(page.frame.planes[0] - SMOOTH * (65535 / 4095)).mean() < 6 * 16


def test_a_gray_jpeg_of_12_bits_is_gray() -> None:
    frame = first(jpeg_12(SMOOTH[..., 0])).frame
    assert (frame.space, frame.depth) == (ColorSpace.GRAY, 16)
    assert np.abs(frame.planes[0] - SMOOTH[..., 0] * (65535 / 4095)).mean() < 6 * 16


def test_a_jpeg_of_12_bits_keeps_its_metadata_and_orientation() -> None:
    tags = Image.Exif()
    tags[274], tags[315] = 6, "someone"
    decoded = read(jpeg_12(SMOOTH, tags.tobytes()[6:]))
    assert (decoded.info.width, decoded.info.height) == (16, 24)
    assert b"someone" in present(decoded.metadata.exif)
    frame = next(iter(decoded.pages)).frame
    assert np.abs(frame.planes[0] - np.rot90(SMOOTH, -1) * (65535 / 4095)).mean() < 6 * 16


def test_the_note_states_the_real_depth() -> None:
    decoded = read(jpeg_12(SMOOTH))
    assert written(decoded.pages, "jpeg")[1] == ("12 bits reduced to 8: JPEG is not written with more",)
    assert written(decoded.pages, "webp")[1] == ("12 bits reduced to 8: WebP is not written with more",)
    assert written(decoded.pages, "png")[1] == ()
    sixteen = read(saved(Image.fromarray(noise(4, 4, dtype=np.uint16)), "PNG"))
    assert written(sixteen.pages, "avif")[1] == ("16 bits reduced to 12: AVIF is not written with more",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [b"Pf", b"PF"])
def test_a_pfm_is_read_from_the_bottom_up_in_either_byte_order(magic: bytes, order: str) -> None:
    samples = np.arange(2 * 3 * (3 if magic == b"PF" else 1)).reshape((2, 3, 3) if magic == b"PF" else (2, 3)) / 100
    data = (
        magic
        + b"\n3 2\n"
        + (b"-1.0" if order == "<" else b"1.0")
        + b"\n"
        + samples[::-1].astype(order + "f4").tobytes()
    )
    decoded = read(data)
    (page,) = decoded.pages
    assert (decoded.info.format.name, decoded.info.depth, page.frame.depth) == ("pfm", 32, 32)
    assert decoded.info.space is page.frame.space is (ColorSpace.RGB if magic == b"PF" else ColorSpace.GRAY)
    assert np.allclose(page.frame.planes[0], samples)
    again = first(written(decoded.pages, "pfm")[0]).frame
    assert np.array_equal(again.planes[0], page.frame.planes[0])


def test_the_range_of_a_pfm_comes_back() -> None:
    data = b"PF\n2 1\n-1.0\n" + np.array([-1.0, 0, 20, 3, 4, 5], "<f4").tobytes()
    decoded = read(data)
    result, notes = written(decoded.pages, "pfm")
    assert np.allclose(np.frombuffer(result, "<f4", 6, len(result) - 24), [-1, 0, 20, 3, 4, 5], atol=1e-5)
    assert notes == ()


def test_integers_become_a_pfm_of_0_to_1() -> None:
    page = Page(Frame((np.array([[0, 51, 255]], np.uint8),), ColorSpace.GRAY))
    assert written([page], "pfm") == (b"Pf\n3 1\n-1.0\n" + np.array([0, 0.2, 1], "<f4").tobytes(), ())


def test_a_pfm_with_the_content_of_a_ppm_is_a_ppm(tmp_path: Path) -> None:
    path = tmp_path / "a.pfm"
    path.write_bytes(b"P6\n1 1\n255\n\1\2\3")
    decoded = read(path)
    assert decoded.info.format.name == "ppm"
    assert decoded.info.notes == ("has the extension of PFM but is PPM",)


PLAIN = b"P3\n# a comment\n2 1\n1023 # the highest\n0 512 1023\n# within\n1 2 3\n"


@pytest.mark.parametrize(
    ("data", "samples", "peak"),
    [
        (b"P6\n2 1\n65535\n" + bytes([0, 1, 2, 3, 255, 255, 0, 0, 1, 0, 0, 9]), [1, 515, 65535, 0, 256, 9], 65535),
        (b"P6\n2 1\n1023\n" + bytes([0, 1, 2, 3, 3, 255, 0, 0, 1, 0, 0, 9]), [1, 515, 1023, 0, 256, 9], 1023),
        (PLAIN, [0, 512, 1023, 1, 2, 3], 1023),
        (b"P2 2 1 40000 7 40000", [7, 40000], 40000),
        (b"P5 2 1 1000\n\0\1\3\xe8", [1, 1000], 1000),
    ],
)
def test_a_pnm_of_more_than_8_bits_is_exact(data: bytes, samples: list[int], peak: int) -> None:
    decoded = read(data)
    (page,) = decoded.pages
    assert (decoded.info.depth, page.bits) == (16, peak.bit_length())
    assert page.frame.planes[0].ravel().tolist() == [round(value * 65535 / peak) for value in samples]


@pytest.mark.parametrize("depth", [8, 10, 16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_a_pnm_keeps_its_depth(shape: tuple[int, ...], depth: int) -> None:
    samples = noise(*shape, dtype=np.uint8 if depth == 8 else np.uint16) >> (16 - depth if depth > 8 else 0)
    space = ColorSpace.GRAY if len(shape) == 2 else ColorSpace.RGB
    header = b"%s\n7 5\n%d\n" % (b"P5" if len(shape) == 2 else b"P6", 2**depth - 1)
    data = header + samples.astype(np.uint8 if depth == 8 else ">u2").tobytes()
    assert written([Page(Frame((samples,), space, depth))], "ppm") == (data, ())
    assert written(read(data).pages, "ppm") == (data, ())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"P6 2 1 999\n" + bytes(5), "4 of 6 samples are missing"),
        (b"P2 2 1 999\n5", "1 of 2 samples are missing"),
        (b"P2 2 1 999\n5 x", "a sample is not a number"),
        (b"P2 2 1 999\n5 1000", "a sample is above the maximum of 999"),
        (b"PF\n2 1\n-1.0\n" + bytes(20), "1 of 6 samples are missing"),
        (run_length_sgi()[:-4], "samples are missing"),
        (run_length_sgi()[:528] + bytes(20), "a row has 0 of 4 samples"),
        (psd_file(noise(4, 4, 3, dtype=np.uint16), 0)[:-3], "2 of 48 samples are missing"),
        (psd_file(noise(4, 4, 3, dtype=np.uint16), 1)[:-3], "PackBits"),
        (psd_file(noise(4, 4, 3, dtype=np.uint16), 2)[:-20], "incomplete or truncated stream"),
    ],
)
def test_missing_samples_are_said(data: bytes, reason: str) -> None:
    with pytest.raises(MediaError, match=f"standard input is truncated or damaged .*{reason}"):
        read(data)


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (6, 9, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_sgi_image_keeps_its_depth(shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    samples = noise(*shape, dtype=dtype)
    color, alpha = (samples, None) if len(shape) == 2 or shape[2] == 3 else (samples[..., :3], samples[..., 3])
    space = ColorSpace.GRAY if len(shape) == 2 else ColorSpace.RGB
    page = Page(Frame((color,), space, 8 * samples.itemsize, alpha))
    data, notes = written([page], "sgi")
    frame = first(data).frame
    assert notes == ()
    assert np.array_equal(frame.planes[0], color)
    assert frame.alpha is None or np.array_equal(frame.alpha, present(alpha))


def test_a_run_length_encoded_sgi_image_of_16_bits_is_exact() -> None:
    assert first(run_length_sgi()).frame.planes[0].tolist() == [[1, 2, 3, 4], [7, 7, 7, 9]]


@pytest.mark.parametrize("compression", range(4))
@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (6, 9, 4)])
def test_the_merged_image_of_a_photoshop_file_of_16_bits_is_exact(shape: tuple[int, ...], compression: int) -> None:
    samples = noise(*shape, dtype=np.uint16)
    decoded = read(psd_file(samples, compression))
    frame = next(iter(decoded.pages)).frame
    assert decoded.info.has_alpha == (len(shape) == 3 and shape[2] == 4)
    assert np.array_equal(frame.planes[0], samples[..., :3] if len(shape) == 3 else samples)
    assert frame.alpha is None or np.array_equal(frame.alpha, samples[..., 3])


def test_a_deep_jpeg_2000_with_a_long_header_is_found() -> None:
    page = Page(Frame((noise(8, 8, 3, dtype=np.uint16),), depth=16))
    data, _ = written([page], "jp2", Metadata(exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0" + bytes(9000)))
    assert np.array_equal(first(data).frame.planes[0], page.frame.planes[0])


def test_what_is_left_of_a_deep_file_is_decoded_when_that_is_allowed() -> None:
    data = written([Page(Frame((noise(64, 64, 3, dtype=np.uint16),), depth=16))], "ppm")[0]
    page = first(data[: len(data) // 2], ReadLimits(allow_truncated=True))
    assert page.frame.depth == 16
    assert np.array_equal(page.frame.planes[0][:31], noise(64, 64, 3, dtype=np.uint16)[:31])
    assert not page.frame.planes[0][33:].any()


def test_profile_of_a_photoshop_file_of_16_bits_is_kept() -> None:
    profile = srgb_profile()
    resource = b"8BIM\x04\x0f\0\0" + len(profile).to_bytes(4, "big") + profile + bytes(len(profile) % 2)
    data = psd_file(noise(4, 4, 3, dtype=np.uint16), 0)
    data = data[:30] + len(resource).to_bytes(4, "big") + resource + data[34:]
    assert read(data).metadata.icc == profile


_GRAY, _RGB, _GRAY_ALPHA, _RGBA = 0, 2, 4, 6  # color types of PNG


@pytest.mark.parametrize(
    ("color_type", "channels", "has_key"),
    [
        (_GRAY, 1, False),
        (_GRAY, 1, True),
        (_RGB, 3, False),
        (_RGB, 3, True),
        (_GRAY_ALPHA, 2, False),
        (_RGBA, 4, False),
    ],
)
def test_a_png_of_16_bits_is_planned_as_it_is_read(color_type: int, channels: int, has_key: bool) -> None:
    samples = noise(6, 9, channels, dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = (9).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes([16, color_type, 0, 0, 0])
    key = [(b"tRNS", samples[2, 3].astype(">u2").tobytes())] if has_key else []
    source = read(build([(b"IHDR", header), *key, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]))
    frame = next(iter(source.pages)).frame
    has_alpha = has_key or channels in (2, 4)
    space = ColorSpace.GRAY if color_type in (_GRAY, _GRAY_ALPHA) else ColorSpace.RGB
    assert (source.info.space, source.info.depth, source.info.has_alpha) == (space, 16, has_alpha)
    assert (frame.space, frame.depth, frame.alpha is not None) == (space, 16, has_alpha)
    assert np.array_equal(frame.planes[0], samples[..., 0] if space is ColorSpace.GRAY else samples[..., :3])
    if has_alpha:
        expected = np.where((samples == samples[2, 3]).all(axis=2), 0, 65535) if has_key else samples[..., -1]
        assert np.array_equal(present(frame.alpha), expected)
