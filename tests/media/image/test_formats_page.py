"""Every kind of metadata into every format that is written: kept or said; and docs/formats.md, which tells which."""

import importlib.util
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import exif, photoshop
from esrt_core.media.image.cicp import CodePoints
from esrt_core.media.image.exif import ASCII, RATIONAL, Directories, Value
from esrt_core.media.image.formats import FORMATS, Format
from esrt_core.media.image.icc import is_nearly_srgb
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page, Resolution, Unit
from tests.media.pictures import noise, read, written

TABLE = Path(__file__).parents[3] / "docs" / "formats.md"
WRITTEN = [
    entry
    for entry in FORMATS
    if entry.writable and (entry.extra is None or importlib.util.find_spec(entry.extra) is not None)
]
BLOCK = exif.build(Directories("big", {315: Value(ASCII, 8, b"someone\0")}, {}, {}))
PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="S"/></rdf:RDF></x:xmpmeta>'
)
FURTHER = (
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:n="urn:n" n:more="1"/></rdf:RDF>'
)
POINTING = PACKET.replace(
    b"dc:source", b'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="A" dc:source'
)
DPI = Value(RATIONAL, 1, b"\0\0\1\x2c\0\0\0\1")
GEO = ((33550, Value(12, 3, struct.pack("<3d", 1, 1, 0))),)

Kept = Callable[[Metadata], bool]


def of_flag(name: str) -> set[str]:
    return {entry.name for entry in WRITTEN if getattr(entry, name)}


# What is carried, how it is recognized in the result, which formats keep it, and a word of the note in all others.
KINDS: dict[str, tuple[Metadata, Kept, set[str], str]] = {
    "EXIF": (Metadata(exif=BLOCK), lambda m: m.exif is not None and b"someone" in m.exif, of_flag("exif"), "EXIF"),
    "XMP": (Metadata(xmp=PACKET), lambda m: m.xmp is not None and b'dc:source="S"' in m.xmp, of_flag("xmp"), "XMP"),
    "extended XMP": (
        Metadata(xmp=POINTING, extended_xmp=FURTHER),
        lambda m: m.xmp is not None and b'n:more="1"' in m.xmp + m.extended_xmp,
        of_flag("xmp"),
        "XMP",
    ),
    "IPTC": (
        Metadata(photoshop=photoshop.of_iptc(b"\x1c\2\x69\0\5title")),
        lambda m: m.photoshop is not None and b"title" in m.photoshop,
        of_flag("iptc"),
        "IPTC",
    ),
    "resolution": (
        Metadata(resolution=Resolution(300, 150)),
        lambda m: m.dpi is not None and np.allclose(m.dpi, (300, 150), atol=0.02),
        of_flag("dpi"),
        "resolution",
    ),
    "resolution in EXIF alone": (
        Metadata(exif=exif.build(Directories("big", dict.fromkeys((0x11A, 0x11B), DPI), {}, {}))),
        lambda m: m.dpi == (300, 300) or (m.exif is not None and DPI.raw in m.exif),
        of_flag("exif"),
        "EXIF",
    ),
    "shape of pixels": (
        Metadata(resolution=Resolution(2, 1, Unit.NONE)),
        lambda m: m.resolution == Resolution(2, 1, Unit.NONE),
        of_flag("aspect"),
        "shape of the pixels (2:1)",
    ),
    "comment": (
        Metadata(comments=(b"a comment",)),
        lambda m: b"a comment" in m.comments or any(b"a comment" in data for _, data in m.png_chunks),
        of_flag("comment") | {"png"},
        "comment",
    ),
    "text of a PNG": (
        Metadata(png_chunks=((b"tEXt", b"Author\0me"),)),
        lambda m: (b"tEXt", b"Author\0me") in m.png_chunks,
        {"png"},
        "PNG text (Author)",
    ),
    "Comment of a PNG": (
        Metadata(png_chunks=((b"tEXt", b"Comment\0words"),)),
        lambda m: b"words" in m.comments or any(b"words" in data for _, data in m.png_chunks),
        of_flag("comment") | {"png"},
        "PNG text (Comment)",
    ),
    "parameters of a generator": (
        Metadata(png_chunks=((b"tEXt", b"parameters\0Steps: 20"),)),
        lambda m: (
            any(b"Steps" in data for _, data in m.png_chunks)
            or (m.exif is not None and "Steps".encode("utf-16-be") in m.exif)
        ),
        of_flag("exif"),
        "PNG text (parameters)",
    ),
    "time of a PNG": (
        Metadata(png_chunks=((b"tIME", b"\7\xe8\1\2\3\4\5"),)),
        lambda m: any(kind == b"tIME" for kind, _ in m.png_chunks),
        {"png"},
        "PNG chunks (tIME)",
    ),
    "further chunk of a PNG": (
        Metadata(png_chunks=((b"teSt", b"data"),)),
        lambda m: (b"teSt", b"data") in m.png_chunks,
        {"png"},
        "PNG chunks (teSt)",
    ),
    "further segment of a JPEG": (
        Metadata(jpeg_segments=((0xE5, b"vendor\0data"),)),
        lambda m: m.jpeg_segments == ((0xE5, b"vendor\0data"),),
        {"jpeg"},
        "JPEG segments (APP5)",
    ),
    "GeoTIFF": (Metadata(tiff_tags=GEO), lambda m: dict(GEO).items() <= dict(m.tiff_tags).items(), {"tiff"}, "GeoTIFF"),
    "further tag of a TIFF": (
        Metadata(tiff_tags=((65000, Value(ASCII, 8, b"private\0")),)),
        lambda m: 65000 in dict(m.tiff_tags),
        {"tiff"},
        "TIFF tag 65000",
    ),
    "color": (
        Metadata(color=CodePoints(12, 13)),
        lambda m: m.color == CodePoints(12, 13) or (m.icc is not None and not is_nearly_srgb(m.icc, ColorSpace.RGB)),
        of_flag("icc") | of_flag("cicp"),
        "colors converted to sRGB",
    ),
}


@pytest.mark.parametrize("target", WRITTEN, ids=lambda entry: entry.name)
@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_kept_or_said(kind: str, target: Format, tmp_path: Path) -> None:
    given, is_kept, keeping, word = KINDS[kind]
    page = Page(Frame((noise(6, 8, 3),)))
    data, notes = written([page], target.name, replace(given, source_size=(8, 6)))
    path = tmp_path / f"a{target.extensions[0]}"  # TGA is known by its extension alone
    path.write_bytes(data)
    assert is_kept(read(path).metadata) == (target.name in keeping)
    said = [note for note in notes if word in note]
    assert bool(said) == (target.name not in keeping), notes


def test_strip_metadata_says_nothing() -> None:
    everything = Metadata(exif=BLOCK, xmp=PACKET, comments=(b"c",), tiff_tags=GEO, resolution=Resolution(72, 72))
    for target in WRITTEN:
        _, notes = written(
            [Page(Frame((noise(6, 8, 3),)))], target.name, everything, EncodeOptions(strip_metadata=True)
        )
        assert notes == ()


SHAPE = {True: "pixel shape alone", False: "said"}


def row(entry: Format) -> str:
    bits = ", ".join(map(str, entry.depths)) if len(entry.depths) < 4 else f"{entry.depths[0]} to {entry.depths[-1]}"
    kinds = (
        ", ".join([*([bits] if entry.depths else []), *(["float"] if entry.floating else [])]),
        ", ".join(
            word
            for word, is_held in (("gray", entry.gray), ("alpha", entry.alpha), ("animation", entry.animation))
            if is_held
        )
        + (", pages" if entry.pages else ""),
        "profile, code points" if entry.cicp and entry.icc else "profile" if entry.icc else "as sRGB",
        *("yes" if getattr(entry, name) else "said" for name in ("exif", "xmp", "iptc")),
        "with pixel shape" if entry.aspect and entry.dpi else "yes" if entry.dpi else SHAPE[entry.aspect],
        "as text" if entry.name == "png" else "yes" if entry.comment else "said",
    )
    extension = " ".join(f"`{extension}`" for extension in entry.extensions)
    return f"| {entry.label} | {extension} | " + " | ".join(kinds) + " |"


def test_the_table_of_the_manual_is_that_of_the_code() -> None:
    text = TABLE.read_text()
    rows = [row(entry) for entry in FORMATS if entry.writable]
    assert "\n".join(rows) in text, "docs/formats.md should hold:\n" + "\n".join(rows)
    only_read = ", ".join(f"{entry.label}" for entry in FORMATS if not entry.writable)
    assert f"Only read, and written as PNG: {only_read}." in text
