"""The description of color reaches every target: as a profile, as code points, or as pixels in sRGB."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.cicp import (
    CodePoints,
    Curve,
    Primaries,
    build_profile,
    curve_tag,
    from_properties,
    profile_of,
)
from esrt_core.media.image.formats import FORMATS
from esrt_core.media.image.icc import frame_to_srgb, is_nearly_srgb
from esrt_core.media.image.isobmff import properties
from esrt_core.media.image.picture import Metadata, Page
from tests.media.pictures import (
    animation,
    first,
    frame_of,
    picture,
    present,
    read,
    reopened,
    saved,
    srgb_profile,
    written,
)

P3, PQ_2020 = CodePoints(12, 13), CodePoints(9, 16)
P3_PROFILE = present(profile_of(P3, ColorSpace.RGB))
COLORS = np.array([[[200, 120, 90], [128, 128, 128], [20, 60, 200]]], np.uint8)
WITHOUT_PROFILE = tuple(
    entry.name
    for entry in FORMATS
    if entry.writable and not entry.icc and not entry.extra and entry.name not in ("gif", "pfm")
)


def p3_to_srgb(colors: np.ndarray) -> np.ndarray:
    """The definition of sRGB's transfer function, IEC 61966-2-1, and the matrix of CSS Color 4."""
    encoded = colors / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[1.2249401, -0.2249404, 0], [-0.0420569, 1.0420571, 0], [-0.0196376, -0.0786361, 1.0982735]])
    linear = np.clip(linear @ matrix.T, 0, 1)
    srgb: np.ndarray = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    return srgb


@pytest.mark.parametrize("format", WITHOUT_PROFILE)
@pytest.mark.parametrize("metadata", [Metadata(color=P3), Metadata(icc=P3_PROFILE)], ids=["code points", "profile"])
def test_a_target_without_profiles_gets_srgb(format: str, metadata: Metadata) -> None:
    data, notes = written([Page(Frame((COLORS,)))], format, metadata)
    assert np.abs(frame_of(data, format).planes[0] - p3_to_srgb(COLORS)).max() <= 1
    label = {"qoi": "QOI"}.get(format, format.upper())
    assert notes == (f"colors converted to sRGB: {label} holds no color profile",)


def test_16_bits_are_converted_exactly() -> None:
    wide = COLORS.astype(np.uint16) * 257
    data, _ = written([Page(Frame((wide,), depth=16))], "ppm", Metadata(color=P3))
    assert np.abs(first(data).frame.planes[0] / 257 - p3_to_srgb(COLORS)).max() < 0.14
    ten = Frame((np.rint(COLORS * (1023 / 255)).astype(np.uint16),), depth=10)
    assert np.abs(present(frame_to_srgb(ten, P3_PROFILE)).planes[0] * (255 / 1023) - p3_to_srgb(COLORS)).max() < 0.5


def test_gray_is_converted_too_and_stays_gray() -> None:
    linear = build_profile(Primaries(*[(0.3, 0.3)] * 3), [curve_tag(Curve(1.0))], ColorSpace.GRAY)
    page = Page(Frame((np.array([[0, 128, 255]], np.uint8),), ColorSpace.GRAY))
    for format in WITHOUT_PROFILE:
        frame = frame_of(written([page], format, Metadata(icc=linear))[0], format)
        gray = frame.planes[0] if frame.space is ColorSpace.GRAY else frame.planes[0][..., 1]
        assert np.abs(gray - np.array([[0, 188, 255]])).max() <= 1


@pytest.mark.parametrize("format", WITHOUT_PROFILE)
def test_an_srgb_profile_needs_no_conversion(format: str) -> None:
    data, notes = written([Page(Frame((COLORS,)))], format, Metadata(icc=srgb_profile()))
    assert np.array_equal(frame_of(data, format).planes[0], COLORS)
    assert notes == ()
    assert is_nearly_srgb(srgb_profile(), ColorSpace.RGB)
    assert not is_nearly_srgb(P3_PROFILE, ColorSpace.RGB)


def test_a_damaged_profile_is_said() -> None:
    broken = P3_PROFILE[:128] + bytes(len(P3_PROFILE) - 128)
    data, notes = written([Page(Frame((COLORS,)))], "bmp", Metadata(icc=broken))
    assert np.array_equal(first(data).frame.planes[0], COLORS)
    assert notes == ("color profile left out: it is damaged",)


def test_hdr_stays_as_it_is_and_is_said() -> None:
    data, notes = written([Page(Frame((COLORS,)))], "bmp", Metadata(color=PQ_2020))
    assert np.array_equal(first(data).frame.planes[0], COLORS)
    assert notes == ("HDR color (PQ, BT.2020) is not described in the result: BMP cannot hold it; use --format png",)


def test_the_frames_of_a_gif_are_converted() -> None:
    patches = np.kron(COLORS, np.ones((8, 8, 1), np.uint8))
    pages = [Page(Frame((np.roll(patches, shift, axis=1),)), duration_ms=40.0) for shift in (0, 8)]
    data, notes = written(pages, "gif", Metadata(color=P3))
    shown = [page.frame.planes[0][4, 4] for page in read(data).pages]
    assert np.abs(np.array(shown) - p3_to_srgb(COLORS[0, [0, 2]])).max() <= 1
    assert notes == ("colors converted to sRGB: GIF holds no color profile",)


def test_a_profile_reaches_and_leaves_jpeg_2000() -> None:
    data, notes = written([Page(Frame((COLORS,)))], "jp2", Metadata(color=P3))
    assert notes == ()
    decoded = read(data)
    assert decoded.metadata.icc == P3_PROFILE
    assert reopened(written(decoded.pages, "jpeg", decoded.metadata)[0]).info["icc_profile"] == P3_PROFILE


@pytest.mark.parametrize("color", [P3, PQ_2020])
def test_heic_holds_code_points(color: CodePoints) -> None:
    pytest.importorskip("pillow_heif")
    colors = np.kron(COLORS, np.ones((32, 32, 1), np.uint8))
    data, notes = written([Page(Frame((colors,)))], "heic", Metadata(color=color))
    assert notes == ()
    found = properties(lambda at, length: data[at : at + length], len(data))
    assert from_properties(found) == color
    decoded = read(data)
    assert decoded.metadata.color == color
    assert np.abs(next(iter(decoded.pages)).frame.planes[0].astype(int) - colors).mean() < 4


def test_code_points_far_behind_the_start_of_an_avif_are_found() -> None:
    exif = b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
    data, _ = written([Page(Frame((COLORS,)))], "avif", Metadata(color=P3, exif=exif))
    moved = data[:32] + (5008).to_bytes(4, "big") + b"free" + bytes(5000) + data[32:]
    found = properties(lambda at, length: moved[at : at + length], len(moved))
    assert from_properties(found) == P3


def tiff(
    primaries: list[float] | None = None, white: list[float] | None = None, transfer: np.ndarray | None = None
) -> bytes:
    def rationals(values: list[float]) -> list[int]:
        return [part for value in values for part in (round(value * 10_000), 10_000)]

    tags: list[tuple[int, str, int, Sequence[int], bool]] = []
    if primaries:
        tags.append((319, "2I", 6, rationals(primaries), True))
    if white:
        tags.append((318, "2I", 2, rationals(white), True))
    if transfer is not None:
        tags.append((301, "H", len(transfer), tuple(transfer), True))
    file = io.BytesIO()
    tifffile.imwrite(file, np.repeat(COLORS, 4, axis=0), photometric="rgb", extratags=tags, metadata=None)
    return file.getvalue()


ADOBE = [0.64, 0.33, 0.21, 0.71, 0.15, 0.06]
D65 = [0.3127, 0.3290]


def shown(icc: bytes, color: tuple[int, int, int]) -> np.ndarray:
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    transform = ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), "RGB", "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    pixel: np.ndarray = np.asarray(ImageCms.applyTransform(Image.new("RGB", (1, 1), color), transform))[0, 0]
    return pixel.astype(int)


def test_the_primaries_of_a_tiff_become_a_profile() -> None:
    icc = present(read(tiff(ADOBE, D65)).metadata.icc)
    primaries = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
    expected = shown(build_profile(primaries, [curve_tag(Curve(2.2))] * 3, ColorSpace.RGB), (80, 200, 80))
    assert np.abs(shown(icc, (80, 200, 80)) - expected).max() <= 1
    assert shown(icc, (80, 200, 80))[0] < 40
    assert read(tiff([0.64, 0.33, 0.30, 0.60, 0.15, 0.06], D65)).metadata.icc is None
    assert read(tiff()).metadata.icc is None


@pytest.mark.parametrize("tables", [1, 3])
def test_the_transfer_function_of_a_tiff_is_followed(tables: int) -> None:
    linear = np.tile(np.arange(256) * 257, tables)
    icc = present(read(tiff(ADOBE, D65, linear)).metadata.icc)
    assert np.abs(shown(icc, (128, 128, 128)) - 188).max() <= 1


def test_a_tiff_of_described_color_is_written_with_its_profile() -> None:
    decoded = read(tiff(ADOBE, D65))
    assert reopened(written(decoded.pages, "png", decoded.metadata)[0]).info["icc_profile"] == decoded.metadata.icc


@pytest.mark.parametrize("format", ["jpeg", "webp", "tiff", "jp2", "bmp"])
def test_linear_pixels_stay_linear_to_the_viewer(format: str) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", (100_000).to_bytes(4, "big"))
    decoded = read(saved(picture(), "PNG", pnginfo=chunks))
    result = read(written(decoded.pages, format, decoded.metadata)[0])
    if format == "bmp":
        expected = np.asarray(picture()) / 255
        expected = np.where(expected <= 0.0031308, 12.92 * expected, 1.055 * expected ** (1 / 2.4) - 0.055) * 255
        assert np.abs(next(iter(result.pages)).frame.planes[0] - expected).max() <= 1
    else:
        assert np.abs(shown(present(result.metadata.icc), (128, 128, 128)) - 188).max() <= 1


def test_an_animation_keeps_its_profile() -> None:
    decoded = read(animation("PNG", [40, 40], alpha=False, icc_profile=P3_PROFILE))
    assert read(written(decoded.pages, "webp", decoded.metadata)[0]).metadata.icc == P3_PROFILE
