import hashlib
import io
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import png
from esrt_core.media.image.exif import EXIF, SHORT, Directories, Value, build, directories
from esrt_core.media.image.metadata import for_size
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page, Resolution
from tests.media.pictures import gray_profile, noise, picture, present, read, reopened, saved, srgb_profile, written

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" exif:PixelXDimension="28">'
    b"<tiff:ImageLength>20</tiff:ImageLength><xmp:Thumbnails><a/></xmp:Thumbnails><dc:title>T</dc:title>"
    b"</rdf:Description></x:xmpmeta>"
)
IPTC = b"8BIM\4\4\0\0\0\0\0\x0a\x1c\2\x69\0\5title"
NOTE = b"Nikon\0\2 and offsets that count from here"
ELEMENTS = (
    "<mwg-rs:Area><stArea:x>{}</stArea:x><stArea:y>{}</stArea:y>"
    "<stArea:w>{}</stArea:w><stArea:h>{}</stArea:h></mwg-rs:Area>"
)
Order = Literal["little", "big"]
Entry = tuple[int, int, int, bytes]  # tag, type, count, value
FORMATS = ["jpeg", "png", "webp", "avif", "tiff"]


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[271], tags[274], tags[256], tags[257] = "Maker", 6, 28, 20
    inner = tags.get_ifd(0x8769)
    inner[0xA002], inner[0xA003], inner[0x927C] = 28, 20, NOTE
    tags.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    return tags


def loaded(block: bytes | None) -> Image.Exif:
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + present(block))
    return tags


def source(format: str = "JPEG") -> bytes:
    parameters = {"exif": exif().tobytes(), "icc_profile": srgb_profile(), "dpi": (300, 300)}
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return saved(picture(), format, pnginfo=chunks, **parameters)
    return saved(picture(), format, xmp=XMP, **parameters)


def xmp_of(image: Image.Image) -> bytes:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    data: bytes = present(xmp.encode() if isinstance(xmp, str) else xmp)
    return data


@pytest.mark.parametrize("source_format", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("format", FORMATS)
def test_metadata_travel_and_follow_the_new_size(source_format: str, format: str) -> None:
    decoded = read(source(source_format))
    assert (decoded.info.width, decoded.info.height) == (20, 28)
    image = reopened(written(decoded.pages, format, decoded.metadata)[0])
    tags = image.getexif()
    assert tags[271] == "Maker"
    assert tags.get(274, 1) == 1
    inner = tags.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003], inner[0x927C]) == (20, 28, NOTE)
    assert tags.get_ifd(0x8825)[2] == (1.0, 2.0, 3.0)
    assert image.info["icc_profile"] == srgb_profile()
    xmp = xmp_of(image)
    assert b'tiff:Orientation="1" exif:PixelXDimension="20"' in xmp
    assert b"<tiff:ImageLength>28<" in xmp
    assert b"<dc:title>T<" in xmp
    assert b"Thumbnails" not in xmp


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "bmp"])
def test_dpi_is_kept(format: str) -> None:
    decoded = read(source())
    image = reopened(written(decoded.pages, format, decoded.metadata)[0])
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_metadata_of_a_tiff_travel_back() -> None:
    data, _ = written(read(source()).pages, "tiff", read(source()).metadata)
    again = read(data)
    tags = loaded(again.metadata.exif)
    assert tags.get_ifd(0x8769)[0x927C] == NOTE
    assert b"dc:title" in present(again.metadata.xmp)
    assert again.metadata.resolution == Resolution(300, 300)
    assert again.metadata.icc == srgb_profile()


def test_exif_and_xmp_behind_a_png_s_pixels_are_found() -> None:
    data = source("PNG")
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    moved = data.replace(chunk, b"")
    moved = moved[:-12] + chunk + moved[-12:]
    decoded = read(moved)
    assert decoded.info.width == 20
    assert loaded(decoded.metadata.exif)[271] == "Maker"


def block(order: Order, entries: list[Entry], inner: Sequence[Entry] = (), thumbnail: bool = False) -> bytes:
    """An EXIF block of (tag, type, count, bytes) entries, values behind the directories, in which nothing is moved."""

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, order)

    def directory(items: Sequence[Entry], at: int, next_at: int) -> bytes:
        values_at = at + 2 + 12 * len(items) + 4
        head, values = number(len(items), 2), b""
        for tag, kind, count, raw in items:
            inline = raw.ljust(4, b"\0") if len(raw) <= 4 else number(values_at + len(values), 4)
            values += b"" if len(raw) <= 4 else raw
            head += number(tag, 2) + number(kind, 2) + number(count, 4) + inline
        return head + number(next_at, 4) + values

    first = [*entries, *([(EXIF, 4, 1, bytes(4))] if inner else [])]
    at = 8 + len(directory(first, 8, 0))
    first = [*entries, *([(EXIF, 4, 1, number(at, 4))] if inner else [])]
    tail = directory(inner, at, 0) if inner else b""
    header = {"little": b"II*\0", "big": b"MM\0*"}[order] + number(8, 4)
    return header + directory(first, 8, at + len(tail) if thumbnail else 0) + tail + (b"\0\0" + bytes(4)) * thumbnail


def shorts(order: Order, *values: int) -> bytes:
    return b"".join(value.to_bytes(2, order) for value in values)


ORDERS = pytest.mark.parametrize("order", ["little", "big"])


@ORDERS
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_exif_is_kept_byte_for_byte(order: Order, format: str) -> None:
    """All but the orientation, the size and the pointer to the thumbnail."""
    artist, maker = "Jan\u00e9 D\u0153, \u65e5\u672c".encode() + b"\0", bytes(range(200))
    sizes = [(0xA002, 3, 1, shorts(order, 28)), (0xA003, 3, 1, shorts(order, 20))]
    inner = [(0x927C, 7, 200, maker), (0x9286, 7, 9, b"ASCII\0\0\0x"), *sizes]
    given = block(order, [(0x112, 3, 1, shorts(order, 6)), (0x13B, 2, len(artist), artist)], inner, thumbnail=True)
    decoded = read(saved(picture(), "JPEG", exif=b"Exif\0\0" + given))
    result = reopened(written(decoded.pages, format, decoded.metadata)[0]).info["exif"].removeprefix(b"Exif\0\0")
    sizes = [(0xA002, 3, 1, shorts(order, 20)), (0xA003, 3, 1, shorts(order, 28))]
    expected = block(order, [(0x112, 3, 1, shorts(order, 1)), (0x13B, 2, len(artist), artist)], [*inner[:2], *sizes])
    expected += given[len(expected) :]
    assert result == expected


@ORDERS
def test_a_size_that_a_short_cannot_hold_becomes_a_long(order: Order) -> None:
    given = block(order, [], [(0xA002, 3, 1, shorts(order, 28))])
    metadata, notes = for_size(Metadata(exif=given), 70_000, 20)
    assert metadata.exif == block(order, [], [(0xA002, 4, 1, (70_000).to_bytes(4, order))])
    assert notes == ()


@ORDERS
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(1, (4, 6, 8, 2)), (3, (50, 32, 8, 2)), (6, (32, 4, 2, 8)), (8, (6, 50, 2, 8))],
)
def test_the_subject_turns_and_scales_with_the_pixels(
    order: Order, orientation: int, expected: tuple[int, ...]
) -> None:
    given = block(order, [(0x112, 3, 1, shorts(order, orientation))], [(0x9214, 3, 4, shorts(order, 2, 3, 4, 1))])
    decoded = read(saved(picture(size=(28, 20)), "JPEG", exif=b"Exif\0\0" + given))
    shown = (decoded.info.width, decoded.info.height)
    metadata, _ = for_size(decoded.metadata, 2 * shown[0], 2 * shown[1])
    assert directories(present(metadata.exif)).exif[0x9214].raw == shorts(order, *expected)


def test_maker_notes_that_cannot_be_moved_are_left_out_of_a_tiff_and_said() -> None:
    inner = [(0x927C, 7, 12, b"Canon\0\1\2here"), (0x9286, 7, 9, b"ASCII\0\0\0x")]
    decoded = read(saved(picture(), "JPEG", exif=b"Exif\0\0" + block("big", [], inner)))
    data, notes = written(decoded.pages, "tiff", decoded.metadata)
    assert notes == ("maker notes left out: their offsets would be wrong in another place",)
    found = directories(present(read(data).metadata.exif)).exif
    assert 0x927C not in found
    assert (found[0x9286].type, found[0x9286].raw) == (7, b"ASCII\0\0\0x")


@ORDERS
def test_text_and_types_travel_through_a_tiff(order: Order) -> None:
    artist = "Jan\u00e9".encode() + b"\0"
    title = "T\u00eft".encode("utf-16-le") + b"\0\0"
    entries = [(0x13B, 2, len(artist), artist), (0x4746, 3, 1, shorts(order, 4)), (0x9C9B, 1, len(title), title)]
    given = block(order, entries, [(0x829A, 5, 1, (1).to_bytes(4, order) + (250).to_bytes(4, order))])
    decoded = read(saved(picture(), "JPEG", exif=b"Exif\0\0" + given))
    again = read(written(decoded.pages, "tiff", decoded.metadata)[0])
    twice = directories(present(read(written(again.pages, "tiff", again.metadata)[0]).metadata.exif))
    assert twice.image[0x13B].raw == artist
    assert twice.image[0x9C9B].raw == title
    assert twice.image[0x4746].raw == b"\4\0"
    assert twice.exif[0x829A].raw == b"\1\0\0\0\xfa\0\0\0"


def test_png_text_is_kept_in_a_png_and_said_elsewhere() -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", "a cat, Steps: 20")
    chunks.add_itxt("workflow", "{\u65e5}", zip=True)
    chunks.add(b"tIME", bytes([7, 230, 1, 2, 3, 4, 5]))
    data = saved(picture(), "PNG", pnginfo=chunks)
    decoded = read(data)
    for pages in (decoded.pages, [Page(Frame((noise(6, 8, dtype=np.uint16),), ColorSpace.GRAY, 16))]):
        result, notes = written(pages, "png", decoded.metadata)
        image = reopened(result)
        assert image.info["parameters"] == "a cat, Steps: 20"
        assert image.info["workflow"] == "{\u65e5}"
        assert b"tIME\7\xe6\1\2\3\4\5" in result
        assert notes == ()
    assert written(decoded.pages, "gif", decoded.metadata)[1] == (
        "PNG text (parameters, workflow) left out: GIF cannot hold it",
        "PNG chunks (tIME) left out: GIF cannot hold them",
    )
    stripped, _ = written(decoded.pages, "png", decoded.metadata, EncodeOptions(strip_metadata=True))
    assert b"parameters" not in stripped


def test_stripping_leaves_the_profile_only() -> None:
    decoded = read(source())
    data, _ = written(decoded.pages, "jpeg", decoded.metadata, EncodeOptions(strip_metadata=True))
    image = reopened(data)
    assert image.info["icc_profile"] == srgb_profile()
    assert not image.getexif()
    assert "xmp" not in image.info
    assert read(data).metadata == Metadata(icc=srgb_profile())


@pytest.mark.parametrize("garbage", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0rubbish rubbish"])
def test_damaged_exif_never_fails_the_picture(garbage: bytes) -> None:
    decoded = read(saved(picture(), "JPEG", exif=garbage))
    _, notes = written(decoded.pages, "png", decoded.metadata)
    assert decoded.metadata.exif is None or notes == ()


@pytest.mark.parametrize("target", ["jpeg", "tiff", "png"])
def test_a_damaged_directory_within_exif_is_noted_and_the_picture_turned(target: str) -> None:
    whole = build(Directories("big", {274: Value(SHORT, 1, b"\0\6")}, {0xA002: Value(SHORT, 1, b"\0\x1e")}, {}))
    decoded = read(saved(picture(), "JPEG", exif=b"Exif\0\0" + whole[: whole.rindex(b"\xa0\x02") - 2]))
    assert "part of the EXIF data is damaged" in decoded.notes
    assert (decoded.info.width, decoded.info.height) == picture().size[::-1]
    written(decoded.pages, target, decoded.metadata)


def test_a_damaged_profile_is_noted() -> None:
    decoded = read(saved(picture(), "PNG", icc_profile=b"no profile" * 20))
    assert decoded.metadata.icc is None
    assert "damaged color profile left out" in decoded.notes


def test_a_profile_for_other_pixels_is_left_out() -> None:
    decoded = read(saved(picture(), "PNG", icc_profile=gray_profile()))
    assert decoded.metadata.icc is None


def test_metadata_that_a_format_cannot_hold_are_noted() -> None:
    decoded = read(source())
    _, notes = written(decoded.pages, "bmp", decoded.metadata)
    assert {note.split(" left out")[0] for note in notes} == {"EXIF", "XMP"}


def test_metadata_that_an_encoder_refuses_are_left_out_and_noted() -> None:
    data, notes = written(read(source()).pages, "jpeg", Metadata(exif=b"x" * 70_000, icc=srgb_profile()))
    assert notes == ("EXIF data left out: it cannot be rewritten (EXIF has no TIFF header)",)
    long = Metadata(icc=srgb_profile() + bytes(255 * 65_519), exif=exif().tobytes()[6:])
    data, notes = written(read(source()).pages, "jpeg", long)
    assert notes == ("color profile left out: JPEG holds 16,707,345 bytes",)
    assert "exif" in reopened(data).info


def test_exif_that_cannot_be_rewritten_is_left_out() -> None:
    metadata, notes = for_size(Metadata(exif=b"rubbish"), 4, 4)
    assert metadata.exif is None
    assert "cannot be rewritten" in notes[0]


def test_sources_without_metadata_stay_without() -> None:
    decoded = read(saved(picture(), "PNG"))
    assert decoded.metadata == Metadata()
    assert "exif" not in Image.open(io.BytesIO(written(decoded.pages, "png")[0])).info


def segments(*parts: tuple[int, bytes]) -> bytes:
    return b"".join(bytes([255, marker]) + (len(data) + 2).to_bytes(2, "big") + data for marker, data in parts)


def test_iptc_comments_and_further_segments_are_kept_in_a_jpeg() -> None:
    unknown, comment = (0xE3, b"Meta\0\0data"), (0xFE, "caf\u00e9".encode())
    iptc = (0xED, b"Photoshop 3.0\0" + IPTC)
    decoded = read(saved(picture(), "JPEG", extra=segments(iptc, unknown, comment, (0xFE, b"second"))))
    data, notes = written(decoded.pages, "jpeg", decoded.metadata)
    assert notes == ()
    again = read(data).metadata
    assert again.photoshop == IPTC
    assert again.comments == (comment[1], b"second")
    assert again.jpeg_segments == (unknown,)


def test_photoshop_data_longer_than_a_segment_are_divided() -> None:
    long = b"8BIM\4\0\0\0" + (150_000).to_bytes(4, "big") + bytes(range(250)) * 600 + IPTC
    data, _ = written(read(source()).pages, "jpeg", Metadata(photoshop=long))
    assert read(data).metadata.photoshop == long


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_iptc_travels_between_jpeg_png_and_tiff(format: str) -> None:
    decoded = read(saved(picture(), "JPEG", extra=segments((0xED, b"Photoshop 3.0\0" + IPTC))))
    data, notes = written(decoded.pages, format, decoded.metadata)
    assert notes == ()
    back, _ = written(read(data).pages, "jpeg", read(data).metadata)
    assert IPTC in back
    if format == "tiff":
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            assert tiff.pages.first.tags[33723].value == b"\x1c\2\x69\0\5title"


def test_raw_profiles_of_imagemagick_are_read() -> None:
    def profile(name: str, data: bytes) -> str:
        return f"\n{name}\n      {len(data)}\n{data.hex()}\n"

    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Raw profile type iptc", profile("iptc", b"\x1c\2\x69\0\5title"), zip=True)
    chunks.add_text("Raw profile type icm", profile("icm", srgb_profile()))
    chunks.add_text("Raw profile type xmp", profile("xmp", XMP))
    decoded = read(saved(picture(), "PNG", pnginfo=chunks))
    data, notes = written(decoded.pages, "jpeg", decoded.metadata)
    assert notes == ()
    assert IPTC in data
    image = reopened(data)
    assert image.info["icc_profile"] == srgb_profile()
    assert b"<dc:title>T<" in image.info["xmp"]


MAIN = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{}"><dc:title>T</dc:title>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
EXTENDED = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:n="urn:n" n:more="{}"/></rdf:RDF>'
).format("x" * 70_000)


def test_extended_xmp_is_kept_in_a_jpeg_and_becomes_one_packet_elsewhere() -> None:
    name = hashlib.md5(EXTENDED.encode()).hexdigest().upper()
    parts = [EXTENDED.encode()[at : at + 60_000] for at in (0, 60_000)]
    head = b"http://ns.adobe.com/xmp/extension/\0" + name.encode() + len(EXTENDED).to_bytes(4, "big")
    extra = segments(*((0xE1, head + (60_000 * i).to_bytes(4, "big") + part) for i, part in enumerate(parts)))
    decoded = read(saved(picture(), "JPEG", extra=extra, xmp=MAIN.format(name).encode()))
    data, notes = written(decoded.pages, "jpeg", decoded.metadata)
    assert notes == ()
    again = read(data).metadata
    assert again.extended_xmp == EXTENDED.encode()
    assert f'HasExtendedXMP="{name}"' in present(again.xmp).decode()
    for format in ("png", "webp", "avif", "tiff"):
        data, notes = written(decoded.pages, format, decoded.metadata)
        assert notes == ()
        whole = present(read(data).metadata.xmp)
        root = ElementTree.fromstring(whole)
        assert [each.get("{urn:n}more") for each in root[0]] == [None, "x" * 70_000]
        assert b"HasExtendedXMP" not in whole


def test_xmp_too_long_for_one_segment_becomes_extended_xmp() -> None:
    packet = MAIN.format("").replace(' xmpNote:HasExtendedXMP=""', "").replace(">T<", f">{'y' * 70_000}<").encode()
    data, notes = written(read(source()).pages, "jpeg", Metadata(xmp=packet))
    assert notes == ()
    again = read(data).metadata
    assert again.extended_xmp == packet
    assert hashlib.md5(packet).hexdigest().upper().encode() in present(again.xmp)
    back, _ = written(read(data).pages, "png", again)
    assert b"y" * 70_000 in present(read(back).metadata.xmp)


def test_a_comment_becomes_text_of_a_png_and_back() -> None:
    decoded = read(saved(picture(), "JPEG", extra=segments((0xFE, "\u65e5".encode()))))
    data, notes = written(decoded.pages, "png", decoded.metadata)
    assert notes == ()
    assert reopened(data).info["Comment"] == "\u65e5"
    for format in ("jpeg", "gif", "png"):
        again = read(written(read(data).pages, format, read(data).metadata)[0])
        assert again.metadata.comments == (() if format == "png" else ("\u65e5".encode(),))


def test_data_behind_the_end_of_a_jpeg_are_noted() -> None:
    data = saved(picture(), "JPEG")
    assert read(data + bytes(100)).notes == ()
    assert read(data + b"CANON OPTIONAL DATA" + bytes(9)).notes == ("28 bytes behind the end of the JPEG left out",)


def test_content_credentials_are_said() -> None:
    decoded = read(saved(picture(), "JPEG", extra=segments((0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb c2pa"))))
    assert decoded.notes == ("content credentials (C2PA) left out: they are signed for the pixels of the source",)
    assert decoded.metadata.jpeg_segments == ()


def test_the_sizes_of_a_360_degree_photo_scale() -> None:
    xmp = b'<x GPano:FullPanoWidthPixels="100" GPano:CroppedAreaTopPixels="7"><GPano:CroppedAreaLeftPixels>9</x>'
    metadata, _ = for_size(Metadata(xmp=xmp, source_size=(50, 20)), 100, 60)
    expected = b'<x GPano:FullPanoWidthPixels="200" GPano:CroppedAreaTopPixels="21"><GPano:CroppedAreaLeftPixels>18</x>'
    assert metadata.xmp == expected


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(1, (0.25, 0.4, 0.1, 0.2)), (3, (0.75, 0.6, 0.1, 0.2)), (6, (0.6, 0.25, 0.2, 0.1)), (8, (0.4, 0.75, 0.2, 0.1))],
)
@pytest.mark.parametrize("form", ['<mwg-rs:Area stArea:x="{}" stArea:y="{}" stArea:w="{}" stArea:h="{}"/>', ELEMENTS])
def test_face_regions_turn_with_the_pixels(form: str, orientation: int, expected: tuple[float, ...]) -> None:
    tags = Image.Exif()
    tags[274] = orientation
    xmp = '<x:xmpmeta><mwg-rs:AppliedToDimensions stDim:w="28" stDim:h="20"/>' + form + "</x:xmpmeta>"
    data = saved(picture(), "JPEG", exif=tags.tobytes(), xmp=xmp.format(0.25, 0.4, 0.1, 0.2).encode())
    decoded = read(data)
    result = present(read(written(decoded.pages, "jpeg", decoded.metadata)[0]).metadata.xmp).decode()
    assert form.format(*expected) in result
    assert f'stDim:w="{decoded.info.width}" stDim:h="{decoded.info.height}"' in result


def test_uuid_boxes_of_other_kinds_are_said() -> None:
    data, _ = written(read(source()).pages, "jpeg2000", Metadata())
    assert read(data).notes == ()
    assert read(data + b"\0\0\0\x1cuuid" + bytes(20)).notes == (
        "1 UUID boxes of other kinds (such as GeoJP2) left out",
    )


def test_metadata_of_a_photoshop_file_are_read() -> None:
    def resource(number: int, content: bytes) -> bytes:
        return b"8BIM" + number.to_bytes(2, "big") + bytes(2) + len(content).to_bytes(4, "big") + content

    resolution = (300 << 16).to_bytes(4, "big") + bytes(4) + (150 << 16).to_bytes(4, "big") + bytes(4)
    held = resource(0x03ED, resolution) + resource(0x0424, XMP + b" " * (len(XMP) % 2)) + IPTC + b"\0" * (len(IPTC) % 2)
    header = b"8BPS\0\1" + bytes(6) + b"\0\3" + (2).to_bytes(4, "big") + (3).to_bytes(4, "big") + b"\0\x08\0\3"
    data = header + bytes(4) + len(held).to_bytes(4, "big") + held + bytes(4) + b"\0\0" + bytes(18)
    found = read(data).metadata
    assert found.photoshop == IPTC
    assert found.dpi == (150, 300)  # the XMP turns it
    assert b"<dc:title>T<" in present(found.xmp)


@pytest.mark.parametrize(
    "section",
    [
        (2 + 4).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"\xff\xfd",
        (22).to_bytes(4, "big") + bytes(8) + b"8BIMLr16" + (2).to_bytes(4, "big") + b"\0\3",
    ],
)
def test_the_layers_of_a_photoshop_file_are_said(section: bytes) -> None:
    header = b"8BPS\0\1" + bytes(6) + b"\0\3" + (2).to_bytes(4, "big") + (3).to_bytes(4, "big") + b"\0\x08\0\3"
    assert read(header + bytes(12) + b"\0\0" + bytes(18)).notes == ()
    assert read(header + bytes(8) + section + b"\0\0" + bytes(18)).notes == (
        "the layers of the Photoshop file (3) are left out: the merged image is read",
    )


def chunked(image: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with further chunks before its pixels."""
    data = saved(image, "PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + b"".join(png.chunk_bytes(*chunk) for chunk in chunks) + data[at:]


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    file = io.BytesIO(data)
    return {chunk.kind: chunk.read(file) for chunk in png.walk(file)}


@pytest.mark.parametrize(
    ("mode", "given", "expected"),
    [
        ("RGB", b"\0\1\0\2\0\3", b"\0\1\0\2\0\3"),
        ("L", b"\0\x2a", b"\0\x2a"),
        ("LA", b"\0\x2a", b"\0\x2a"),
        ("I;16", b"\x12\x34", b"\x12\x34"),
        ("1", b"\0\1", b"\0\xff"),
    ],
)
def test_the_background_color_of_a_png_is_kept(mode: str, given: bytes, expected: bytes) -> None:
    image = Image.new("I;16", (6, 4)) if mode == "I;16" else picture("L", (8, 8)).convert(mode)
    image = picture(mode) if mode == "RGB" else image
    decoded = read(chunked(image, (b"bKGD", given)))
    data, notes = written(decoded.pages, "png", decoded.metadata)
    assert chunks_of(data)[b"bKGD"] == expected
    assert notes == ()


def test_a_background_color_of_a_palette_becomes_a_color() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([9, 9, 9, 10, 20, 30])
    decoded = read(chunked(image, (b"bKGD", b"\1")))
    data, _ = written(decoded.pages, "png", decoded.metadata)
    assert chunks_of(data)[b"bKGD"] == b"\0\x0a\0\x14\0\x1e"
    assert any("bKGD" in note for note in written(decoded.pages, "jpeg", decoded.metadata)[1])


def test_what_describes_old_samples_of_a_png_is_said_unless_it_says_nothing() -> None:
    decoded = read(chunked(picture(), (b"sBIT", b"\5\6\5"), (b"sPLT", b"p\0\x08")))
    assert [note.split()[0] for note in decoded.notes] == ["sBIT", "sPLT"]
    assert read(chunked(picture(), (b"sBIT", b"\x08\x08\x08"))).notes == ()


@pytest.mark.parametrize("sides", [b"\0\0\0\1\0\0\0\1\0", b"\0\0\0\x07\0\0\0\x03\0"])
def test_the_shape_of_pixels_without_a_unit_is_kept_byte_for_byte(sides: bytes) -> None:
    decoded = read(chunked(picture(), (b"pHYs", sides)))
    data, notes = written(decoded.pages, "png", decoded.metadata)
    assert chunks_of(data)[b"pHYs"] == sides
    assert notes == ()
    data, _ = written(decoded.pages, "png", decoded.metadata, EncodeOptions(dpi=254))
    assert data.count(b"pHYs") == 1
    assert chunks_of(data)[b"pHYs"] == b"\0\0\x27\x10\0\0\x27\x10\1"
    assert decoded.metadata.resolution is not None or not written(decoded.pages, "jpeg", decoded.metadata)[1]


def png_with(kind: bytes, data: bytes) -> bytes:
    whole = saved(picture(), "PNG")
    return whole[:33] + png.chunk_bytes(kind, data) + whole[33:]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_xmp_that_a_png_has_as_plain_text_is_xmp(kind: bytes, encoding: str) -> None:
    packet = "<x:xmpmeta>caf\u00e9</x:xmpmeta>"
    text = packet.encode(encoding)
    data = b"XML:com.adobe.xmp\0" + (b"\0" + zlib.compress(text) if kind == b"zTXt" else text)
    decoded = read(png_with(kind, data))
    assert decoded.metadata.xmp == packet.encode()
    for format in ("png", "jpeg", "webp"):
        result, notes = written(decoded.pages, format, decoded.metadata)
        assert notes == ()
        assert read(result).metadata.xmp == packet.encode()


def test_xmp_whose_text_chunk_is_cut_off_is_no_xmp() -> None:
    decoded = read(png_with(b"iTXt", b"XML:com.adobe.xmp\0\0\0en"))
    assert decoded.metadata.xmp is None


def test_a_gray_profile_that_is_converted_is_said() -> None:
    decoded = read(saved(picture("L"), "PNG", icc_profile=gray_profile()))
    assert written(decoded.pages, "webp", decoded.metadata)[1] == (
        "gray converted to sRGB through its color profile: WebP has no grayscale",
    )


def test_a_resolution_is_set_everywhere() -> None:
    packet = b'<x tiff:XResolution="72/1" tiff:YResolution="720000/10000" tiff:ResolutionUnit="3"/>'
    resource = b"8BIM\3\xed\0\0\0\0\0\x10" + 2 * b"\0\x48\0\0\0\1\0\1"
    decoded = read(saved(picture(), "JPEG", xmp=packet, extra=segments((0xED, b"Photoshop 3.0\0" + resource))))
    data, _ = written(decoded.pages, "jpeg", decoded.metadata, EncodeOptions(dpi=300))
    found = read(data).metadata
    assert found.xmp == b'<x tiff:XResolution="300/1" tiff:YResolution="300/1" tiff:ResolutionUnit="2"/>'
    assert found.photoshop == resource.replace(b"\0\x48\0\0", b"\x01\x2c\0\0")
