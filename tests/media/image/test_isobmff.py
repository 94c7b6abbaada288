"""EXIF and orientation of AVIF, HEIC and JPEG XL: the block as it is stored, turned as the file says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.media.frame import Frame
from esrt_core.media.image import exif, jxl
from esrt_core.media.image.isobmff import box, read_exif
from esrt_core.media.image.picture import Metadata, Page
from tests.media.pictures import noise, picture, present, read, saved, written

NOTE = b"Nikon\0\2 and offsets that count from here"


OTHER_TAG = b"\1\x13\0\3\0\0\0\1"
ORIENTATION = b"\1\x12\0\3\0\0\0\1"


def exif_block(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[274], tags[315] = orientation, "caf\xe9"
    tags.get_ifd(0x8769)[0x927C] = NOTE
    return tags.tobytes()[6:]


def stated(block: bytes, orientation: int) -> bytes:
    """The block with another orientation, in place."""
    at = block.index(ORIENTATION) + 9
    return block[:at] + bytes([orientation]) + block[at + 1 :]


def of_file(file: bytes) -> bytes | None:
    return read_exif(lambda at, length: file[at : at + length], len(file))


@pytest.mark.parametrize("in_file", [1, 6])
@pytest.mark.parametrize("in_exif", [1, 3, 6])
def test_an_avif_is_turned_as_its_file_says_and_keeps_its_exif(in_file: int, in_exif: int) -> None:
    tags = Image.Exif()
    tags.load(exif_block(in_file))
    tags[275] = in_exif  # where the orientation is to be, which Pillow moves to the file
    file = saved(picture(), "AVIF", exif=tags.tobytes(), quality=100, subsampling="4:4:4").replace(
        OTHER_TAG, ORIENTATION
    )
    assert (b"irot" in file) == (in_file == 6)
    block = present(of_file(file))
    assert stated(block, in_exif) == block
    decoded = read(file)
    (page,) = decoded.pages
    upright = np.rot90(np.asarray(picture()), -1) if in_file == 6 else np.asarray(picture())
    assert page.frame.planes[0].shape == upright.shape
    assert np.abs(page.frame.planes[0].astype(int) - upright).mean() < 6
    assert decoded.metadata.exif == stated(block, 1)
    result = written(decoded.pages, "avif", decoded.metadata)[0]
    assert NOTE in present(of_file(result))
    assert read(result).info.width == decoded.info.width


def test_xmp_does_not_turn_an_avif() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF tiff:Orientation="6"/></x:xmpmeta>'
    assert read(saved(picture(), "AVIF", xmp=packet)).info.width == 28


@pytest.mark.parametrize("in_exif", [1, 6])
def test_exif_does_not_turn_a_heic(in_exif: int) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    block = exif_block(1)
    file = saved(picture(), "HEIF", exif=b"Exif\0\0" + block).replace(block, stated(block, in_exif))
    assert of_file(file) == stated(block, in_exif)
    decoded = read(file)
    assert (decoded.info.width, decoded.info.height) == (28, 20)
    assert decoded.metadata.exif == block


def test_exif_does_not_turn_a_jpeg_xl() -> None:
    pytest.importorskip("pillow_jxl")
    file = saved(picture(), "JXL", lossless=True, use_container=True)
    block = exif_block(6)
    decoded = read(jxl.with_metadata(file, block, None))
    (page,) = decoded.pages
    assert np.array_equal(page.frame.planes[0], np.asarray(picture()))
    assert decoded.metadata.exif == stated(block, 1)


def test_a_jpeg_in_a_jpeg_xl_is_turned_by_its_exif(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(picture(), "JPEG", exif=b"Exif\0\0" + exif_block(6), quality=95))
    decoded = read(saved(Image.open(path), "JXL", lossless_jpeg=True))
    (page,) = decoded.pages
    assert np.array_equal(page.frame.planes[0], np.rot90(np.asarray(Image.open(path)), -1))
    assert (decoded.info.width, decoded.info.height) == (20, 28)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_every_form_of_an_items_place_is_read(version: int) -> None:
    data = b"\0\0\0\2xxMM\0*" + noise(20).tobytes()
    wide = 4 if version == 2 else 2

    def number(value: int) -> bytes:
        return value.to_bytes(wide, "big")

    extents = b"\0\2" + b"".join(
        bytes(1 if version else 0) + at.to_bytes(4, "big") + size.to_bytes(4, "big")
        for at, size in ((0, 10), (10, len(data) - 10))
    )
    method = b"\0\1" if version else b""
    sizes = bytes([0x44, 0x41 if version else 0x40])
    other = number(1) + (b"\0\0" if version else b"") + bytes(2) + bytes(4) + b"\0\0"
    item = box(b"infe", bytes([3 if wide == 4 else 2]), bytes(3), number(7), bytes(2), b"Exif", b"\0")

    def file(base: int) -> bytes:
        found = number(7) + method + bytes(2) + base.to_bytes(4, "big") + extents
        iloc = box(b"iloc", bytes([version]), bytes(3), sizes, number(2), other, found)
        iinf = box(b"iinf", bytes(4), b"\0\1", item)
        idat = box(b"idat", data) if version else b""
        whole = box(b"ftyp", b"avif", bytes(4)) + box(b"meta", bytes(4), iinf, iloc, idat)
        return whole if version else whole + box(b"mdat", data)

    whole = file(0 if version else len(file(0)) - len(data))
    assert of_file(whole) == data[6:]
    assert of_file(whole[: len(whole) // 3]) is None


def test_what_is_no_exif_is_none() -> None:
    assert of_file(saved(picture(), "AVIF")) is None
    assert of_file(b"") is None


@pytest.mark.parametrize("format", ["avif", "heic"])
def test_an_orientation_of_1_stays_where_it_is(format: str) -> None:
    if format == "heic":
        pytest.importorskip("pillow_heif")
    block = exif_block(1)
    page = Page(Frame((noise(16, 16, 3),)))
    data, notes = written([page], format, Metadata(exif=block))
    assert (of_file(data), notes) == (block, ())
    assert not {b"irot", b"imir"} & {data[at : at + 4] for at in range(len(data))}  # the file says the same


def test_of_an_animated_avif_only_the_orientation_is_removed() -> None:
    block = exif_block(1)
    pages = [Page(Frame((noise(16, 16, 3, seed=seed),)), duration_ms=50.0) for seed in (0, 1)]
    data, _ = written(pages, "avif", Metadata(exif=block))
    stored = present(of_file(data))
    assert exif.value_of(stored, exif.ORIENTATION) is None
    assert len(stored) == len(block)
    assert stored.endswith(block[block.index(b"caf") :])
    assert b"irot" not in data
