import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace
from esrt_core.media.image.decode import decode, probe
from esrt_core.media.image.picture import Picture, ReadLimits
from tests.media.pictures import LIMITS, first, noise, picture, present, read, saved, written


def tiff(samples: np.ndarray, **parameters: Any) -> bytes:
    file = io.BytesIO()
    parameters.setdefault("photometric", "rgb" if samples.ndim == 3 and samples.shape[-1] in (3, 4) else "minisblack")
    tifffile.imwrite(file, samples, metadata=None, **parameters)
    return file.getvalue()


def back(source: Picture) -> np.ndarray:
    data, _ = written(source.pages, "tiff")
    return tifffile.imread(io.BytesIO(data))


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bits_in_every_compression_and_byte_order(compression: str | None, byteorder: Literal["<", ">"]) -> None:
    samples = noise(19, 17, 3, dtype=np.uint16)
    source = read(tiff(samples, compression=compression, byteorder=byteorder))
    assert (source.info.space, source.info.depth) == (ColorSpace.RGB, 16)
    assert np.array_equal(back(source), samples)


@pytest.mark.parametrize("predictor", [False, True])
def test_tiles_and_predictors(predictor: bool) -> None:
    samples = noise(40, 36, dtype=np.uint16)
    assert np.array_equal(
        first(tiff(samples, tile=(16, 16), compression="zlib", predictor=predictor)).frame.planes[0], samples
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_separate_planes(dtype: type[np.generic]) -> None:
    samples = noise(3, 19, 17, dtype=dtype)
    frame = first(tiff(samples, photometric="rgb", planarconfig="separate")).frame
    assert np.array_equal(frame.planes[0], np.moveaxis(samples, 0, -1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_inverted(dtype: type[np.unsignedinteger]) -> None:
    samples = noise(9, 7, dtype=dtype)
    frame = first(tiff(samples, photometric="miniswhite")).frame
    assert np.array_equal(frame.planes[0], np.iinfo(dtype).max - samples)


@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "separated"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_alpha_in_a_plane_of_its_own(photometric: str, dtype: type[np.generic], compression: str | None) -> None:
    colors = {"minisblack": 1, "rgb": 3, "separated": 4}[photometric]
    samples = noise(colors + 1, 19, 17, dtype=dtype)
    options = {"planarconfig": "separate", "extrasamples": ["unassalpha"], "compression": compression}
    source = read(tiff(samples, photometric=photometric, **options))
    frame = next(iter(source.pages)).frame
    expected = samples[-1] if frame.alpha.dtype == samples.dtype else np.rint(samples[-1] / 257)  # type: ignore[union-attr]
    assert np.array_equal(present(frame.alpha), expected)
    assert (source.info.depth, source.info.has_alpha, source.info.space) == (frame.depth, True, frame.space)
    if photometric != "separated":
        assert np.array_equal(frame.planes[0], samples[0] if colors == 1 else np.moveaxis(samples[:3], 0, -1))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_few_bits_with_alpha_have_the_full_scale(bits: int, planar: str, photometric: str) -> None:
    samples = noise(2, 19, 17) >> (8 - bits)
    stored = samples if planar == "separate" else np.moveaxis(samples, 0, -1)
    options = {"planarconfig": planar, "extrasamples": ["unassalpha"], "bitspersample": bits}
    frame = first(tiff(stored, photometric=photometric, **options)).frame
    full = samples * (255 // (2**bits - 1))
    assert np.array_equal(frame.planes[0], full[0] if photometric == "minisblack" else 255 - full[0])
    assert np.array_equal(present(frame.alpha), full[1])


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette_with_alpha(bits: int) -> None:
    colors, indices, alpha = noise(3, 2**bits), noise(6, 5) >> (8 - bits), noise(6, 5) >> (8 - bits)
    packed = tiff(
        np.dstack([indices, alpha]), photometric="minisblack", extrasamples=["unassalpha"], bitspersample=bits
    )
    source = read(with_palette(packed, colors))
    frame = next(iter(source.pages)).frame
    assert (source.info.depth, source.info.has_alpha) == (frame.depth, True) == (8, True)
    assert np.array_equal(frame.planes[0], np.moveaxis(colors, 0, -1)[indices])
    assert np.array_equal(present(frame.alpha), alpha * (255 // (2**bits - 1)))


def test_a_compression_that_nobody_knows_is_refused_by_its_name() -> None:
    data = bytearray(tiff(noise(6, 5)))
    at = data.index(b"\x03\x01\x03\0\x01\0\0\0")  # tag 259, one SHORT
    data[at + 8 : at + 10] = (34676).to_bytes(2, "little")
    with pytest.raises(MediaError, match="with the compression SGILOG cannot be read"):
        read(bytes(data))


def test_a_palette_that_lacks_colors_is_refused() -> None:
    packed = tiff(
        np.full((6, 5, 2), 9, np.uint8), photometric="minisblack", extrasamples=["unassalpha"], bitspersample=4
    )
    with pytest.raises(MediaError, match="colors that its palette lacks"):
        read(with_palette(packed, noise(3, 8)))


def with_palette(gray: bytes, colors: np.ndarray) -> bytes:
    """Return a TIFF of one page that tifffile wrote as gray, as one of a palette, which tifffile writes without alpha.

    `colors` is (3, N), 8 bits.
    """
    data = bytearray(gray)
    at = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[at : at + 2], "little")
    entries = {int.from_bytes(row[:2], "little"): row for row in rows_of(data, at + 2, count)}
    entries[262] = entries[262][:8] + (3).to_bytes(4, "little")
    map_at = len(data) + 2 + 12 * (count + 1) + 4
    entries[320] = b"".join(
        value.to_bytes(size, "little") for value, size in ((320, 2), (3, 2), (colors.size, 4), (map_at, 4))
    )
    data[4:8] = len(data).to_bytes(4, "little")
    data += len(entries).to_bytes(2, "little") + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    return bytes(data) + (colors.astype("<u2") * 257).tobytes()


def rows_of(data: bytearray, at: int, count: int) -> list[bytes]:
    return [bytes(data[start : start + 12]) for start in range(at, at + 12 * count, 12)]


def test_a_16_bit_palette() -> None:
    colors = noise(3, 65536, dtype=np.uint16)
    samples = noise(5, 4, dtype=np.uint16)
    frame = first(tiff(samples, photometric="palette", colormap=colors)).frame
    assert np.array_equal(frame.planes[0], np.moveaxis(colors, 0, -1)[samples])


@pytest.mark.parametrize(("kind", "expected"), [("unassalpha", 10000), ("assocalpha", 20000)])
def test_alpha_is_straight(kind: str, expected: int) -> None:
    samples = np.full((4, 4, 4), 10000, np.uint16)
    samples[..., 3] = 32768
    frame = first(tiff(samples, extrasamples=[kind])).frame
    assert np.all(frame.alpha == 32768)
    assert np.all(np.abs(frame.planes[0].astype(int) - expected) < 2)


def test_channels_that_are_neither_color_nor_alpha_are_noted() -> None:
    samples = noise(4, 4, 5, dtype=np.uint16)
    page = first(tiff(samples, photometric="rgb", planarconfig="contig", extrasamples=["unassalpha", "unspecified"]))
    assert "1 channels" in page.notes[0]
    assert np.array_equal(present(page.frame.alpha), samples[..., 3])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_come_back(dtype: type[np.generic]) -> None:
    samples = np.random.default_rng(0).random((9, 7, 3)).astype(dtype)
    source = read(tiff(samples, photometric="rgb"))
    assert source.info.depth == 32
    assert np.allclose(back(source), samples, atol=1e-6)


def test_floats_beyond_1_come_back() -> None:
    samples = (np.random.default_rng(0).random((9, 7)) * 3000 - 50).astype(np.float32)
    assert np.allclose(back(read(tiff(samples))), samples, atol=1e-3)


@pytest.mark.parametrize("photometric", ["separated", "cielab"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk_and_lab_become_srgb(photometric: str, dtype: type[np.unsignedinteger]) -> None:
    channels = 4 if photometric == "separated" else 3
    samples = np.zeros((4, 4, channels), dtype)
    samples[..., 0] = np.iinfo(dtype).max
    source = read(tiff(samples, photometric=photometric))
    color = next(iter(source.pages)).frame.planes[0][0, 0]
    assert np.allclose(color, [0, 255, 255] if photometric == "separated" else [255, 255, 255], atol=1)
    assert "sRGB" in source.notes[0]
    assert source.metadata.icc is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_orientation_is_applied(dtype: type[np.generic], orientation: int) -> None:
    samples = noise(9, 7, 3, dtype=dtype)
    turned: list[Callable[[np.ndarray], np.ndarray]]
    turned = [lambda a: a, lambda a: a[:, ::-1], lambda a: a[::-1, ::-1], lambda a: a[::-1]]
    turned += [lambda a: a.swapaxes(0, 1), lambda a: np.rot90(a, -1), lambda a: a[::-1, ::-1].swapaxes(0, 1), np.rot90]
    data = tiff(samples, extratags=[(274, 3, 1, orientation, True)])
    expected = turned[orientation - 1](samples)
    assert np.array_equal(first(data).frame.planes[0], expected)
    info = probe(data, LIMITS)
    assert (info.height, info.width) == expected.shape[:2]


def test_every_page_is_read_and_written() -> None:
    file = io.BytesIO()
    pages = [noise(9, 7, dtype=np.uint16), noise(5, 6, 3), noise(4, 4).astype(np.float32) / 255]
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", metadata=None)
    source = read(file.getvalue())
    assert source.info.pages == 3
    data, _ = written(source.pages, "tiff")
    with tifffile.TiffFile(io.BytesIO(data)) as result:
        for stored, expected in zip(result.pages, pages, strict=True):
            assert np.array_equal(stored.asarray(), expected)


def test_previews_are_not_pages() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(noise(9, 7), metadata=None)
        writer.write(noise(3, 2), subfiletype=1, metadata=None)
    source = read(file.getvalue())
    assert source.info.pages == 1
    assert "previews" in source.notes[0]


def test_bilevel_and_palette_pages_are_read() -> None:
    assert first(saved(picture("1"), "TIFF", compression="group4")).frame.space is ColorSpace.GRAY
    assert np.array_equal(first(saved(picture("P"), "TIFF")).frame.planes[0], np.asarray(picture("P").convert("RGB")))


def test_twelve_bits_fill_the_scale() -> None:
    samples = np.array([[0, 4095, 2048, 1]], np.uint16)
    assert first(tiff(samples, bitspersample=12)).frame.planes[0].tolist() == [[0, 65535, 32776, 16]]


def test_a_dng_is_refused_also_as_tif() -> None:
    data = tiff(noise(8, 8, dtype=np.uint16), extratags=[(50706, 1, 4, b"\x01\x04\0\0", True)])
    with pytest.raises(MediaError, match="camera RAW"):
        read(data)


def test_a_sensor_mosaic_under_a_preview_is_refused() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(noise(8, 8, 3), photometric="rgb", subifds=1, metadata=None)
        writer.write(noise(8, 8, dtype=np.uint16), photometric="cfa", subfiletype=0, metadata=None)
    with pytest.raises(MediaError, match="camera RAW"):
        read(file.getvalue())


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(MediaError, match="complex"):
        read(tiff(np.ones((4, 4), np.complex64)))


def test_a_compression_that_pillow_does_not_know_is_read_by_tifffile() -> None:
    samples = noise(20, 28, 3)
    page = first(tiff(samples, photometric="rgb", compression="webp", compressionargs={"lossless": True}))
    assert np.array_equal(page.frame.planes[0], samples)


def test_signed_samples_are_stretched_and_noted() -> None:
    samples = np.array([[-100, 0], [50, 100]], np.int8)
    page = first(tiff(samples))
    assert page.frame.planes[0].tolist() == [[0, 32768], [49151, 65535]]
    assert page.notes == ("values from -100 to 100 stretched over 16 bits",)
    positive = first(tiff(np.abs(samples)))
    assert positive.frame.planes[0].tolist() == [[25700, 0], [12850, 25700]]


def test_too_few_samples_for_the_color_are_refused() -> None:
    data = bytearray(tiff(noise(6, 8)))
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        at = opened.pages.first.tags["PhotometricInterpretation"].valueoffset
    data[at] = 2  # RGB
    with pytest.raises(MediaError, match="cannot be read; convert it first"):
        first(bytes(data))


def test_missing_strips_are_damage_before_anything_is_decoded() -> None:
    data = bytearray(tiff(noise(6, 8), compression="zlib", rowsperstrip=6))
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        tags = opened.pages.first.tags
        length, rows = tags["ImageLength"].valueoffset, tags["RowsPerStrip"].valueoffset
    data[length : length + 4] = (20_000_000).to_bytes(4, "little")
    data[rows] = 1
    with pytest.raises(MediaError, match="19,999,999 strips or tiles are missing"):
        probe(bytes(data), LIMITS)


def lying_tiff(path: Path, samples: np.ndarray, alpha: bool) -> None:
    """Write a TIFF that says RGB, and that its last sample is alpha, whatever samples it has."""
    tifffile.imwrite(path, samples, photometric="minisblack", planarconfig="contig" if samples.ndim == 3 else None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["PhotometricInterpretation"].overwrite(tifffile.PHOTOMETRIC.RGB)
        if alpha:
            tiff.pages.first.tags["ExtraSamples"].overwrite(2)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize(("samples", "alpha"), [((11, 14), False), ((11, 14, 2), False), ((11, 14, 2), True)])
def test_rgb_without_three_samples_is_refused_by_its_name(
    tmp_path: Path, dtype: str, samples: tuple[int, ...], alpha: bool
) -> None:
    path = tmp_path / "lie.tif"
    lying_tiff(path, np.ones(samples, dtype), alpha)
    with pytest.raises(MediaError, match=r"lie\.tif"):
        decode(path, ReadLimits())


def test_alpha_that_is_announced_but_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lie.tif"
    tifffile.imwrite(path, np.ones((11, 14, 4), "u2"), photometric="rgb", extrasamples=["unassalpha"])
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["SamplesPerPixel"].overwrite(3)
    with pytest.raises(MediaError, match=r"lie\.tif"):
        decode(path, ReadLimits())


def test_strips_without_rows_are_damage() -> None:
    data = bytearray(tiff(noise(6, 8), rowsperstrip=6))
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        rows = opened.pages.first.tags["RowsPerStrip"].valueoffset
    data[rows] = 0
    with pytest.raises(MediaError, match="truncated or damaged"):
        probe(bytes(data), LIMITS)
