"""Identify files by their first bytes.

A file that is not an image (a camera RAW file, a video, a PDF) is refused with a message that says what to do.
"""

import re

from esrt_core.media.extensions import RAW_EXTENSIONS, VIDEO_EXTENSIONS
from esrt_core.media.image.formats import HEIF, JXL, Format

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RAW_MAGIC = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")
_VIDEO_MAGIC = (
    b"\x1aE\xdf\xa3",
    b"FLV\x01",
    b"OggS",
    b"\0\0\x01\xba",
    b"\0\0\x01\xb3",
    b"0&\xb2u\x8ef\xcf\x11",
    b"YUV4MPEG2",
)
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_JXL_MAGIC = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
RAW_REASON = (
    "is a camera RAW file; develop it first (for example with darktable or RawTherapee) and use the TIFF or JPEG"
)
CONVERT_FIRST = "convert it to TIFF or PNG first"
_VIDEO = "is a video, not an image; use `esrt video`"
_DOCUMENTS = (
    (rb"%PDF-", "is a PDF document; export its pages as PNG or TIFF first"),
    (
        rb"\s*(<\?xml.*?)?(<!--.*?-->\s*|<!DOCTYPE svg.*?>\s*)*<svg[\s>]",
        "is an SVG drawing, which has no pixels; render it first",
    ),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "is a PostScript file; export it as PNG or TIFF first"),
    (rb"\s*(<!DOCTYPE html|<html)", "is a web page; download the image itself"),
    (rb"PK\x03\x04", "is a ZIP archive or an office document; extract its images first"),
)
_UNREADABLE = (
    (rb"P7\s", "a PAM with a damaged header or of tuples that are neither gray nor RGB"),
    (rb"8BPS\x00[\x01\x02].{16}\x00\x20", "a Photoshop file of 32 bits"),
    (rb"8BPS\x00[\x01\x02]", "a Photoshop file with a damaged header or of an unknown color mode"),
)
_OTHER_FORMATS = (
    (rb"\x76\x2f\x31\x01", "an OpenEXR image"),
    (rb"#\?(RADIANCE|RGBE)", "a Radiance HDR image"),
    (rb"gimp xcf", "a GIMP image (XCF)"),
    (rb"\s*/\* XPM|! XPM2", "an XPM image"),
    (rb"#define\s+\S+_width\s", "an XBM image"),
    (rb"\x8aMNG\r\n", "an MNG animation"),
    (rb"\x8bJNG\r\n", "a JNG image"),
    (rb"\x00\x00\x02\x00.\x00", "a Windows cursor (CUR)"),
    (rb"\xb1\x68\xde\x3a", "a DCX image"),
    (rb"BLP[12]", "a Blizzard texture (BLP)"),
    (rb"VTF\x00", "a Valve texture (VTF)"),
    (rb"\xabKTX ", "a Khronos texture (KTX)"),
    (rb"DanM|LinS", "a Microsoft Paint image (MSP)"),
    (rb"SIMPLE  =", "a FITS image"),
    (rb".{128}DICM", "a DICOM image"),
    (rb".{2048}PCD_", "a Kodak Photo CD image"),
    (rb"SDPX|XPDS", "a DPX image"),
    (rb"\x80\x2a\x5f\xd7", "a Cineon image"),
    (rb"II\xbc", "a JPEG XR image"),
    (rb"\xff\xd8\xff\xf7", "a JPEG-LS image"),
    (rb"BPG\xfb", "a BPG image"),
    (rb"FLIF", "a FLIF image"),
    (rb"farbfeld", "a farbfeld image"),
    (rb"FORM.{4}(ILBM|PBM )", "an Amiga image (ILBM)"),
    (rb"AT&TFORM", "a DjVu document"),
    (rb"\xd7\xcd\xc6\x9a|\x01\x00\x00\x00.{36} EMF", "a Windows metafile"),
)


def is_tiff(head: bytes) -> bool:
    """Return whether a file is a TIFF, or a RAW format based on TIFF, by its first bytes."""
    return head.startswith(_TIFF_MAGIC)


def needs_extra(head: bytes) -> Format | None:
    """Return HEIF or JXL if the first bytes are of that format, else None."""
    if head.startswith(_JXL_MAGIC):
        return JXL
    brands = _brands(head)
    return HEIF if brands & _HEIF_BRANDS and not brands & {b"avif", b"avis"} else None


def refusal_reason(head: bytes, extension: str) -> str | None:
    """Return why a file is refused by its first bytes, to follow its name in a message; None if it may be an image."""
    brands = _brands(head)
    if head.startswith(_RAW_MAGIC) or b"crx " in brands or (is_tiff(head) and head[8:10] == b"CR"):
        return RAW_REASON
    if is_tiff(head) and extension in RAW_EXTENSIONS:
        return RAW_REASON
    if head.startswith(_VIDEO_MAGIC) or (head.startswith(b"RIFF") and head[8:12] == b"AVI ") or _is_movie(head, brands):
        return _VIDEO
    return next((reason for pattern, reason in _DOCUMENTS if re.match(pattern, head, re.DOTALL | re.IGNORECASE)), None)


def unidentified_reason(head: bytes, extension: str) -> str:
    """Return why no decoder recognizes a file, to follow its name in a message."""
    for pattern, variant in (*_UNREADABLE, *_OTHER_FORMATS):
        if re.match(pattern, head, re.DOTALL):
            return f"is {variant}, which esrt does not read; {CONVERT_FIRST}"
    if extension in RAW_EXTENSIONS:
        return RAW_REASON
    if extension in VIDEO_EXTENSIONS:
        return _VIDEO
    return "is not in an image format that esrt reads, or its header is damaged; check the file"


def _brands(head: bytes) -> set[bytes]:
    """Return the brands of an ISO base media file (HEIC, AVIF, MP4, CR3); empty for any other file."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}


def _is_movie(head: bytes, brands: set[bytes]) -> bool:
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return True
    still = _HEIF_BRANDS | {b"avif", b"avis", b"crx "}
    is_transport_stream = len(head) > 376 and head[0] == head[188] == head[376] == 0x47
    return is_transport_stream or (bool(brands) and not brands & still)
