import io
from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.cicp import CodePoints, from_properties, profile_of, profile_of_chunks
from esrt_core.media.image.isobmff import properties
from esrt_core.media.image.picture import Metadata, Page
from tests.media.pictures import noise, picture, present, read, reopened, saved, srgb_profile, written

P3, PQ_2020 = CodePoints(12, 13), CodePoints(9, 16)


def to_srgb(icc: bytes | None, colors: np.ndarray | list[tuple[int, int, int]], mode: str = "RGB") -> np.ndarray:
    image = Image.fromarray(np.array([colors], np.uint8))
    source = ImageCms.ImageCmsProfile(io.BytesIO(present(icc)))
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(
        source, target, mode, "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    row: np.ndarray = np.asarray(ImageCms.applyTransform(image, transform))[0]
    return row


def test_the_profile_of_srgb_s_code_points_is_srgb() -> None:
    colors = np.random.default_rng(1).integers(0, 256, (500, 3))
    result = to_srgb(profile_of(CodePoints(1, 13), ColorSpace.RGB), colors)
    assert np.abs(result.astype(int) - colors).max() <= 1


def test_the_profile_of_display_p3_gives_the_known_colors() -> None:
    """The matrix from P3 to sRGB, linear, from CSS Color 4: the first row is 1.2249, -0.2249, 0."""
    color = to_srgb(profile_of(P3, ColorSpace.RGB), [(128, 128, 128), (200, 120, 90)])
    assert color[0].tolist() == [128, 128, 128]
    linear = (np.array([200, 120, 90]) / 255 + 0.055) / 1.055
    matrix = np.array([[1.2249401, -0.2249404, 0], [-0.0420569, 1.0420571, 0], [-0.0196376, -0.0786361, 1.0982735]])
    expected = 255 * (1.055 * (matrix @ linear**2.4) ** (1 / 2.4) - 0.055)
    assert np.abs(color[1] - expected).max() < 1.5


def test_gamma_and_primaries_make_a_profile() -> None:
    adobe = [0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06]
    chunks = [
        (b"gAMA", round(100_000 / 2.19921875).to_bytes(4, "big")),
        (b"cHRM", b"".join(round(100_000 * value).to_bytes(4, "big") for value in adobe)),
    ]
    gray, green = to_srgb(profile_of_chunks(chunks, ColorSpace.RGB), [(128, 128, 128), (80, 200, 80)])
    assert np.abs(gray.astype(int) - 128).max() <= 1
    assert green[1] >= 200
    assert green[0] == 0
    assert profile_of_chunks([*chunks, (b"sRGB", b"\0")], ColorSpace.RGB) is None


def test_a_gray_profile_fits_gray() -> None:
    chunks = [(b"gAMA", (100_000).to_bytes(4, "big"))]
    icc = present(profile_of_chunks(chunks, ColorSpace.GRAY))
    assert icc[16:20] == b"GRAY"
    assert ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space == "GRAY"


def from_nclx(file: bytes) -> CodePoints | None:
    return from_properties(properties(lambda at, length: file[at : at + length], len(file)))


def with_cicp(image: Image.Image, color: CodePoints) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"cICP", bytes([color.primaries, color.transfer, 0, 1]))
    return saved(image, "PNG", pnginfo=chunks)


@pytest.mark.parametrize("color", [P3, PQ_2020])
def test_the_code_points_of_a_png_reach_png_and_avif(color: CodePoints) -> None:
    decoded = read(with_cicp(picture(), color))
    result, notes = written(decoded.pages, "png", decoded.metadata)
    assert b"cICP" + bytes([color.primaries, color.transfer, 0, 1]) in result
    assert notes == ()
    avif, notes = written(decoded.pages, "avif", decoded.metadata)
    assert from_nclx(avif) == color
    assert notes == ()
    again = read(avif)
    assert from_nclx(written(again.pages, "avif", again.metadata)[0]) == color
    assert b"cICP" + bytes([color.primaries, color.transfer, 0, 1]) in written(again.pages, "png", again.metadata)[0]


@pytest.mark.parametrize("format", ["jpeg", "webp", "tiff"])
def test_display_p3_becomes_a_profile_elsewhere(format: str) -> None:
    decoded = read(with_cicp(picture(), P3))
    result, notes = written(decoded.pages, format, decoded.metadata)
    assert reopened(result).info["icc_profile"] == profile_of(P3, ColorSpace.RGB)
    assert notes == ()


def test_hdr_is_said_where_it_is_lost() -> None:
    decoded = read(with_cicp(picture(), PQ_2020))
    result, notes = written(decoded.pages, "jpeg", decoded.metadata)
    assert "icc_profile" not in reopened(result).info
    assert notes == ("HDR color (PQ, BT.2020) is not described in the result: JPEG cannot hold it; use --format png",)


def test_chunks_without_code_points_are_kept_in_a_png() -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", (100_000).to_bytes(4, "big"))
    decoded = read(saved(picture(), "PNG", pnginfo=chunks))
    assert b"gAMA" + (100_000).to_bytes(4, "big") in written(decoded.pages, "png", decoded.metadata)[0]
    linear = reopened(written(decoded.pages, "jpeg", decoded.metadata)[0]).info["icc_profile"]
    assert to_srgb(linear, [(128, 128, 128)])[0].tolist() == [188, 188, 188]


def test_stripping_keeps_the_color() -> None:
    decoded = read(with_cicp(picture(), P3))
    assert written(decoded.pages, "png", Metadata(color=decoded.metadata.color))[1] == ()


def test_plain_pictures_get_no_profile() -> None:
    decoded = read(saved(picture(), "AVIF"))
    assert "icc_profile" not in reopened(written(decoded.pages, "jpeg", decoded.metadata)[0]).info
    assert b"cICP" not in written(decoded.pages, "png", decoded.metadata)[0]


def test_a_profile_goes_before_gamma() -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", (100_000).to_bytes(4, "big"))
    decoded = read(saved(picture(), "PNG", pnginfo=chunks, icc_profile=srgb_profile()))
    assert reopened(written(decoded.pages, "jpeg", decoded.metadata)[0]).info["icc_profile"] == srgb_profile()


def test_an_animated_avif_keeps_its_code_points() -> None:
    decoded = read(with_cicp(picture(), P3))
    pages = [replace(page, duration_ms=40.0) for page in (*decoded.pages, *decoded.pages)]
    result, _ = written(pages, "avif", decoded.metadata)
    assert result.count(b"colrnclx" + bytes([0, 12, 0, 13])) == result.count(b"colrnclx") >= 1


@pytest.mark.parametrize("color", [P3, PQ_2020])
def test_the_bitstream_of_an_animated_avif_names_the_color_too(color: CodePoints) -> None:
    pages = [Page(Frame((noise(16, 24, 3, seed=seed),)), duration_ms=40.0) for seed in range(3)]
    result, _ = written(pages, "avif", Metadata(color=color))
    with av.open(io.BytesIO(result), "r") as container:
        frames = list(container.decode(container.streams.video[-1]))
    assert [(frame.color_primaries, frame.color_trc) for frame in frames] == [(color.primaries, color.transfer)] * 3


def test_the_profile_of_an_avif_goes_before_its_code_points() -> None:
    decoded = read(saved(picture(), "AVIF", icc_profile=srgb_profile()))
    assert reopened(written(decoded.pages, "avif", decoded.metadata)[0]).info["icc_profile"] == srgb_profile()
