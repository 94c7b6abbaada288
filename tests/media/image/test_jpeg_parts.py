"""Segments of a JPEG, and what lies behind its end: everything reaches another JPEG, or is said."""

import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from esrt_core.media.image.exif import value_of
from esrt_core.media.image.jpeg_parts import EXIF_SEGMENT
from esrt_core.media.image.picture import CREDENTIALS, Metadata
from esrt_core.media.image.xmp import SEGMENT
from tests.media.pictures import picture, present, read, saved, written

LAST = 0x9286  # UserComment, long enough for several segments


def segments(*parts: tuple[int, bytes]) -> bytes:
    return b"".join(bytes([255, marker]) + (len(data) + 2).to_bytes(2, "big") + data for marker, data in parts)


def exif_block(artist: str, orientation: int = 1, comment: bytes = b"") -> bytes:
    tags = Image.Exif()
    tags[315], tags[274], tags[256] = artist, orientation, 28
    if comment:
        tags.get_ifd(0x8769)[LAST] = comment
    return tags.tobytes()[6:]


def jpeg(*parts: tuple[int, bytes], behind: bytes = b"") -> bytes:
    return saved(picture(), "JPEG", extra=segments(*parts)) + behind


def through(data: bytes, format: str = "jpeg") -> tuple[Metadata, tuple[str, ...]]:
    decoded = read(data)
    result, notes = written(decoded.pages, format, decoded.metadata)
    return read(result).metadata, (*decoded.notes, *notes)


@pytest.mark.parametrize(
    "segment",
    [
        (0xE0, b"II\x1a\0\0\0HEAPJPGM camera's own data"),
        (0xE0, b"Ocad$Rev: 14797$"),
        (0xE1, b"FLIR\0\1 temperatures"),
        (0xE2, b"FPXR\0 properties"),
        (0xE4, b"SCALADO\0"),
        (0xEA, b"UNICODE\0comment"),
        (0xEB, b"JP\0\1\0\0\0\1\0\0\0\x18jumb another box"),
        (0xEC, b"Ducky\0\1"),
        (0xED, b"Adobe_CM\0\3"),
        (0xEF, b"Q 70"),
    ],
)
def test_segments_of_rare_makers_are_kept(segment: tuple[int, bytes]) -> None:
    metadata, notes = through(jpeg(segment))
    assert metadata.jpeg_segments == (segment,)
    assert notes == ()
    assert through(jpeg(segment), "png")[1] == (f"JPEG segments (APP{segment[0] & 15}) left out: PNG cannot hold them",)


@pytest.mark.parametrize("segment", [(0xE0, b"JFXX\0\x10thumbnail"), (0xE0, b"AVI1\0"), (0xE8, b"SPIFF\0\1\2")])
def test_what_describes_how_the_old_pixels_were_stored_is_not_kept(segment: tuple[int, bytes]) -> None:
    assert through(jpeg(segment))[0].jpeg_segments == ()


@pytest.mark.parametrize(
    ("segments", "note"),
    [
        ([b"JP\0\1\0\0\0\1\0\0\0\x18jumb label c2pa", b"JP\0\1\0\0\0\2\0\0\0\x18jumb the rest"], CREDENTIALS),
        ([b"JP\0\1\0\0\0\1\0\0\0\x18jumb cai.claim"], CREDENTIALS),
        ([b"JP\0\2\0\0\0\1\0\0\0\x18RESI"], "JPEG XT data left out: they describe the pixels of the source"),
        ([b"HDR_RI ver=11"], "the HDR ratio image (JPEG-HDR) is left out"),
    ],
)
def test_what_belongs_to_the_old_pixels_is_said(segments: list[bytes], note: str) -> None:
    metadata, notes = through(jpeg(*((0xEB, data) for data in segments)))
    assert metadata.jpeg_segments == ()
    assert notes == (note,)


def test_a_second_block_of_exif_and_a_second_packet_of_xmp_are_kept_and_follow_the_pixels() -> None:
    packet = b'<x tiff:Orientation="%d" exif:PixelXDimension="28">%s</x>'
    blocks = exif_block("first", 6), exif_block("second", 6)
    exif = [(0xE1, EXIF_SEGMENT + block) for block in blocks]
    xmp = [(0xE1, SEGMENT + packet % (6, name)) for name in (b"first", b"second")]
    metadata, notes = through(jpeg(*exif, *xmp))
    assert notes == ()
    assert present(value_of(present(metadata.exif), 315)).raw == b"first\0"
    assert metadata.xmp == packet.replace(b'"28"', b'"20"') % (1, b"first")
    (_, block), (_, second) = metadata.jpeg_segments
    block = block.removeprefix(EXIF_SEGMENT)
    assert [present(value_of(block, tag)).raw for tag in (315, 274)] == [
        b"second\0",
        b"\1\0" if block[:2] == b"II" else b"\0\1",
    ]
    assert int.from_bytes(present(value_of(block, 256)).raw, "little" if block[:2] == b"II" else "big") == 20
    assert second == SEGMENT + packet.replace(b'"28"', b'"20"') % (1, b"second")


def test_a_second_packet_of_xmp_joins_the_first_where_there_can_be_one() -> None:
    form = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:n="urn:n" n:{}="1"/></rdf:RDF></x:xmpmeta>'
    )
    packets = [(0xE1, SEGMENT + form.format(name).encode()) for name in ("first", "second")]
    metadata, notes = through(jpeg(*packets), "png")
    assert notes == ()
    descriptions = ElementTree.fromstring(present(metadata.xmp))[0]
    assert [list(each.attrib)[1:] for each in descriptions] == [["{urn:n}first"], ["{urn:n}second"]]
    damaged = [packets[0], (0xE1, SEGMENT + b"no packet")]
    assert through(jpeg(*damaged), "png")[1] == ("JPEG segments (APP1) left out: PNG cannot hold them",)


def test_a_damaged_second_block_is_said() -> None:
    damaged = (0xE1, EXIF_SEGMENT + b"II*\0\xff\xff\0\0")
    metadata, notes = through(jpeg((0xE1, EXIF_SEGMENT + exif_block("first")), damaged))
    assert metadata.jpeg_segments == ()
    assert notes == ("a second EXIF block, damaged, left out",)


def test_exif_longer_than_a_segment_goes_on_in_the_next() -> None:
    comment = b"ASCII\0\0\0" + bytes(range(256)) * 300
    block = exif_block("first", comment=comment)
    decoded = read(saved(picture(), "PNG", exif=EXIF_SEGMENT + block))
    data, notes = written(decoded.pages, "jpeg", decoded.metadata)
    assert notes == ()
    metadata, notes = through(data)
    assert notes == ()
    assert present(value_of(present(metadata.exif), LAST)).raw == comment
    assert metadata.jpeg_segments == ()


def test_extended_xmp_of_which_a_part_is_missing_is_said() -> None:
    part = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + (9).to_bytes(4, "big") + bytes(4) + b"half"
    main = SEGMENT + b'<x xmpNote:HasExtendedXMP="' + b"A" * 32 + b'"/>'
    metadata, notes = through(jpeg((0xE1, main), (0xE1, part)))
    assert metadata.xmp == b"<x/>"
    assert notes == ("extended XMP left out: a part of it is missing",)


def test_data_behind_the_last_of_several_images_are_said() -> None:
    jpeg_start = b"\xff\xd8\xff"
    images = saved(picture(), "MPO", save_all=True, append_images=[picture()])
    several = "only the first of 2 images in the JPEG is read"
    assert read(images).notes == (several,)
    assert read(images + bytes(30)).notes == (several,)
    alone = images[: images.index(jpeg_start, 2)]
    assert read(alone + b"MotionPhoto_Data").notes == (several, "16 bytes behind the end of the JPEG left out")
    assert read(images + b"MotionPhoto_Data").notes == ("16 bytes behind the end of the JPEG left out", several)[::-1]
