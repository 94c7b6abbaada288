"""What a file is by its first bytes, so that what is no picture for us gets a sentence that helps."""

import re

from esrt_core.media.formats import HEIF, JXL, Format

HEAD_BYTES = 4096

RAW_EXTENSIONS = frozenset(
    ("." + name)
    for name in (
        *("3fr", "ari", "arw", "bay", "cap", "cr2", "cr3", "crw", "dcr", "dcs", "dng", "drf", "eip", "erf", "fff"),
        *("gpr", "iiq", "k25", "kdc", "mdc", "mef", "mos", "mrw", "nef", "nrw", "orf", "pef", "ptx", "pxn", "r3d"),
        *("raf", "raw", "rw2", "rwl", "rwz", "sr2", "srf", "srw", "x3f"),
    )
)
VIDEO_EXTENSIONS = frozenset(
    ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob .webm .wmv .y4m".split()  # noqa: SIM905
)
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
    "is a camera RAW file; develop it first (for example with darktable or RawTherapee) and give the TIFF or JPEG"
)
_VIDEO = "is a clip, not a picture; use `esrt video`"
_DOCUMENTS = (
    (rb"%PDF-", "is a PDF document; export its pages as PNG or TIFF first"),
    (
        rb"\s*(<\?xml.*?)?(<!--.*?-->\s*|<!DOCTYPE svg.*?>\s*)*<svg[\s>]",
        "is an SVG drawing without pixels; render it first",
    ),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "is a PostScript file; export it as PNG or TIFF first"),
    (rb"\s*(<!DOCTYPE html|<html)", "is a web page; download the picture itself"),
    (rb"PK\x03\x04", "is a ZIP archive or an office document; unpack its pictures first"),
)


def is_tiff(head: bytes) -> bool:
    """Tell whether a file is a TIFF, or one of the RAW formats built like it."""
    return head.startswith(_TIFF_MAGIC)


def needs_extra(head: bytes) -> Format | None:
    """Return HEIC or JPEG XL where the first bytes say so."""
    if head.startswith(_JXL_MAGIC):
        return JXL
    brands = _brands(head)
    return HEIF if brands & _HEIF_BRANDS and not brands & {b"avif", b"avis"} else None


def refusal(head: bytes, extension: str) -> str | None:
    """Return why a file is refused by its first bytes, as the end of a sentence, or None when it may be a picture."""
    brands = _brands(head)
    if head.startswith(_RAW_MAGIC) or b"crx " in brands or (is_tiff(head) and head[8:10] == b"CR"):
        return RAW_REASON
    if is_tiff(head) and extension in RAW_EXTENSIONS:
        return RAW_REASON
    if head.startswith(_VIDEO_MAGIC) or (head.startswith(b"RIFF") and head[8:12] == b"AVI ") or _is_movie(head, brands):
        return _VIDEO
    return next((reason for pattern, reason in _DOCUMENTS if re.match(pattern, head, re.DOTALL | re.IGNORECASE)), None)


def unidentified(extension: str) -> str:
    """Return why no decoder knows a file, going by its name, as the end of a sentence."""
    if extension in RAW_EXTENSIONS:
        return RAW_REASON
    if extension in VIDEO_EXTENSIONS:
        return _VIDEO
    return "is no picture in a format that esrt reads, or is damaged at its very start; check the file"


def _brands(head: bytes) -> set[bytes]:
    """Return the brands of an ISO base media file (HEIC, AVIF, MP4, CR3)."""
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
