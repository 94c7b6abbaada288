import pytest

from esrt_core.media.image.formats import HEIF, JXL
from esrt_core.media.image.identify import needs_extra, refusal_reason, unidentified_reason


@pytest.mark.parametrize(
    ("head", "extension", "word"),
    [
        (b"FUJIFILMCCD-RAW 0201", ".raf", "RAW"),
        (b"II*\0\x10\0\0\0CR\x02\0", ".tif", "RAW"),
        (b"II*\0\x08\0\0\0\0\0", ".dng", "RAW"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", ".cr3", "RAW"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomavc1", ".mp4", "esrt video"),
        (b"\x1aE\xdf\xa3\0\0", ".mkv", "esrt video"),
        (b"RIFF\0\0\0\0AVI LIST", ".avi", "esrt video"),
        (b"%PDF-1.7", ".pdf", "PDF"),
        (b'<?xml version="1.0"?>\n<!-- by hand -->\n<svg xmlns="x">', ".svg", "SVG"),
        (b"<svg>", "", "SVG"),
        (b"%!PS-Adobe-3.0 EPSF", ".eps", "PostScript"),
        (b"<!DOCTYPE html><html>", ".jpg", "web page"),
        (b"PK\x03\x04", ".docx", "ZIP"),
    ],
)
def test_what_is_no_picture_is_named(head: bytes, extension: str, word: str) -> None:
    reason = refusal_reason(head, extension)
    assert reason is not None
    assert word in reason


@pytest.mark.parametrize(
    "head",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"II*\0\x08\0\0\0\0\0",
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
        b"GIF89a",
    ],
)
def test_pictures_are_not_refused(head: bytes) -> None:
    assert refusal_reason(head, ".png") is None
    assert needs_extra(head) is None


def test_heic_and_jpeg_xl_need_the_extra() -> None:
    assert needs_extra(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") is HEIF
    assert needs_extra(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") is HEIF
    assert needs_extra(b"\xff\x0a\xfa") is JXL


def test_the_name_helps_where_the_bytes_do_not() -> None:
    assert "RAW" in unidentified_reason(b"", ".nef")
    assert "esrt video" in unidentified_reason(b"", ".ts")
    assert "not in an image format" in unidentified_reason(b"", ".png")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"P7\nWIDTH 2\n", "is a PAM with a damaged header or of tuples that are neither gray nor RGB"),
        (b"8BPS\0\1" + bytes(16) + b"\0\x10\0\x0c", "a damaged header or of an unknown color mode"),
        (b"8BPS\0\1" + bytes(16) + b"\0\x20\0\3", "is a Photoshop file of 32 bits, which"),
    ],
)
def test_what_is_an_image_but_cannot_be_read_is_named(head: bytes, words: str) -> None:
    assert words in unidentified_reason(head, ".jpg")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x76\x2f\x31\x01\2\0\0\0", "an OpenEXR image"),
        (b"#?RADIANCE\n", "a Radiance HDR image"),
        (b"gimp xcf v011\0", "a GIMP image (XCF)"),
        (b"/* XPM */\nstatic char", "an XPM image"),
        (b"#define a_width 4\n", "an XBM image"),
        (b"\x8aMNG\r\n\x1a\n", "an MNG animation"),
        (b"\0\0\2\0\1\0\x20\x20", "a Windows cursor (CUR)"),
        (b"BLP2\1\0\0\0", "a Blizzard texture (BLP)"),
        (b"FORM\0\0\1\0ILBMBMHD", "an Amiga image (ILBM)"),
        (bytes(128) + b"DICM\2\0", "a DICOM image"),
        (b"II\xbc\1\x20\0\0\0", "a JPEG XR image"),
    ],
)
def test_images_of_other_formats_are_named(head: bytes, name: str) -> None:
    assert unidentified_reason(head, "") == f"is {name}, which esrt does not read; convert it to TIFF or PNG first"
