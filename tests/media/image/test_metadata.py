import io

import pytest
from PIL import Image, PngImagePlugin

from esrt_core.media.image.metadata import for_size, load_exif
from esrt_core.media.image.picture import EncodeOptions, Metadata
from tests.media.pictures import gray_profile, picture, read, reopened, saved, srgb_profile, written

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" exif:PixelXDimension="28">'
    b"<tiff:ImageLength>20</tiff:ImageLength><xmp:Thumbnails><a/></xmp:Thumbnails><dc:title>T</dc:title>"
    b"</rdf:Description></x:xmpmeta>"
)
FORMATS = ["jpeg", "png", "webp", "avif", "tiff"]


def exif():
    tags = Image.Exif()
    tags[271], tags[274], tags[256], tags[257] = "Maker", 6, 28, 20
    inner = tags.get_ifd(0x8769)
    inner[0xA002], inner[0xA003], inner[0x927C] = 28, 20, b"a maker's note"
    tags.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    return tags


def source(format="JPEG"):
    parameters = {"exif": exif().tobytes(), "icc_profile": srgb_profile(), "dpi": (300, 300)}
    if format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return saved(picture(), format, pnginfo=chunks, **parameters)
    return saved(picture(), format, xmp=XMP, **parameters)


def xmp_of(image):
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return xmp.encode() if isinstance(xmp, str) else xmp


@pytest.mark.parametrize("source_format", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("format", FORMATS)
def test_metadata_travel_and_follow_the_new_size(source_format, format):
    decoded = read(source(source_format))
    assert (decoded.info.width, decoded.info.height) == (20, 28)
    image = reopened(written(decoded.pages, format, decoded.metadata)[0])
    tags = image.getexif()
    assert tags[271] == "Maker"
    assert tags.get(274, 1) == 1
    inner = tags.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003], inner[0x927C]) == (20, 28, b"a maker's note")
    assert tags.get_ifd(0x8825)[2] == (1.0, 2.0, 3.0)
    assert image.info["icc_profile"] == srgb_profile()
    xmp = xmp_of(image)
    assert b'tiff:Orientation="1" exif:PixelXDimension="20"' in xmp
    assert b"<tiff:ImageLength>28<" in xmp
    assert b"<dc:title>T<" in xmp
    assert b"Thumbnails" not in xmp


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "bmp"])
def test_dpi_is_kept(format):
    decoded = read(source())
    image = reopened(written(decoded.pages, format, decoded.metadata)[0])
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_metadata_of_a_tiff_travel_back():
    data, _ = written(read(source()).pages, "tiff", read(source()).metadata)
    again = read(data)
    tags = load_exif(again.metadata.exif)
    assert tags.get_ifd(0x8769)[0x927C] == b"a maker's note"
    assert b"dc:title" in again.metadata.xmp
    assert again.metadata.dpi == (300, 300)
    assert again.metadata.icc == srgb_profile()


def test_exif_and_xmp_behind_a_png_s_pixels_are_found():
    data = source("PNG")
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    moved = data.replace(chunk, b"")
    moved = moved[:-12] + chunk + moved[-12:]
    decoded = read(moved)
    assert decoded.info.width == 20
    assert load_exif(decoded.metadata.exif)[271] == "Maker"


def test_the_thumbnail_is_dropped():
    tags = exif()
    thumbnail = saved(picture(), "JPEG")
    plain = tags.tobytes()
    with_thumbnail = read(saved(picture(), "JPEG", exif=plain + thumbnail))
    assert thumbnail not in with_thumbnail.metadata.exif


def test_stripping_leaves_the_profile_only():
    decoded = read(source())
    data, _ = written(decoded.pages, "jpeg", decoded.metadata, EncodeOptions(strip_metadata=True))
    image = reopened(data)
    assert image.info["icc_profile"] == srgb_profile()
    assert not image.getexif()
    assert "xmp" not in image.info
    assert read(data).metadata == Metadata(icc=srgb_profile())


@pytest.mark.parametrize("garbage", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0rubbish rubbish"])
def test_damaged_exif_never_fails_the_picture(garbage):
    decoded = read(saved(picture(), "JPEG", exif=garbage))
    _, notes = written(decoded.pages, "png", decoded.metadata)
    assert decoded.metadata.exif is None or notes == ()


def test_a_damaged_profile_is_noted():
    decoded = read(saved(picture(), "PNG", icc_profile=b"no profile" * 20))
    assert decoded.metadata.icc is None
    assert "damaged color profile left out" in decoded.notes


def test_a_profile_for_other_pixels_is_left_out():
    decoded = read(saved(picture(), "PNG", icc_profile=gray_profile()))
    assert decoded.metadata.icc is None


def test_metadata_that_a_format_cannot_hold_are_noted():
    decoded = read(source())
    _, notes = written(decoded.pages, "bmp", decoded.metadata)
    assert {note.split(" left out")[0] for note in notes} == {"EXIF", "XMP", "color profile"}


def test_metadata_that_an_encoder_refuses_are_left_out_and_noted():
    data, notes = written(read(source()).pages, "jpeg", Metadata(xmp=b"x" * 70_000, icc=srgb_profile()))
    assert notes == ("XMP left out: XMP data is too long",)
    assert reopened(data).info["icc_profile"] == srgb_profile()


def test_exif_that_cannot_be_rewritten_is_left_out():
    metadata, notes = for_size(Metadata(exif=b"rubbish"), 4, 4)
    assert metadata.exif is None
    assert "cannot be rewritten" in notes[0]


def test_sources_without_metadata_stay_without():
    decoded = read(saved(picture(), "PNG"))
    assert decoded.metadata == Metadata()
    assert "exif" not in Image.open(io.BytesIO(written(decoded.pages, "png")[0])).info
