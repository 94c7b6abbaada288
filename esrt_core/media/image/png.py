"""PNG chunks: walk them without decoding pixels, read what is not pixels, and build files of them.

Pillow refuses a file for a wrong checksum in a chunk that it does not need, and for text of more than 1 MB, and finds
metadata after the pixels only by decoding them. So Pillow gets the pixels alone (`pixels_only`), and the rest is read
here. PNG specification, third edition, W3C, https://www.w3.org/TR/png-3/.
"""

import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _PALETTE = 0, 3  # color types
_HAS_COLOR, _HAS_ALPHA = 2, 4  # bits of a color type
_BACKGROUND, _SIGNIFICANT_BITS = b"bKGD", b"sBIT"
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_STRUCTURE = (*_PIXEL_CHUNKS, b"acTL", b"fcTL", b"fdAT", b"iDOT")
TEXT = (b"tEXt", b"zTXt", b"iTXt")
_COLOR = (b"cICP", b"gAMA", b"cHRM", b"sRGB")
_SINGLE = (b"iCCP", b"eXIf", b"pHYs", b"tIME", _BACKGROUND)
# Kept though their names say that they may depend on the pixels: HDR metadata, stereo, calibration and physical scale.
_KEPT = (b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"sTER", b"pCAL", b"sCAL")
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_RAW_PROFILE = b"Raw profile type "
_RAW_PROFILES = {b"xmp": "xmp", b"exif": "exif", b"APP1": "exif", b"iptc": "photoshop", b"8bim": "photoshop"}
_RAW_PROFILES |= {b"icc": "icc", b"icm": "icc"}
_MOST_BYTES = 1 << 26  # of a profile or raw profile, inflated


@dataclass(frozen=True)
class Chunk:
    """Locate one chunk: its data are `length` bytes at offset `at` of the file."""

    kind: bytes
    at: int
    length: int

    def read(self, file: BinaryIO) -> bytes:
        """Return the chunk's data."""
        file.seek(self.at)
        return file.read(self.length)


def walk(file: BinaryIO) -> Iterator[Chunk]:
    """Yield the chunks of a PNG file, up to IEND or the first that is cut off; checksums are not verified."""
    size = file.seek(0, 2)
    at = len(SIGNATURE)
    while at + 12 <= size:
        file.seek(at)
        header = file.read(8)
        chunk = Chunk(header[4:], at + 8, int.from_bytes(header[:4], "big"))
        if chunk.at + chunk.length + 4 > size:
            return
        yield chunk
        if chunk.kind == b"IEND":
            return
        at = chunk.at + chunk.length + 4  # the checksum


@dataclass(frozen=True)
class Ancillary:
    """Hold what a PNG file carries beside its pixels.

    `texts` are whole text chunks, a type and its data each, without XMP, EXIF and profiles; `others` are further chunks
    that may be copied into a file with other pixels; `color` are cICP, gAMA, cHRM and sRGB chunks; `density` is pHYs:
    pixels per unit in x and y, and whether the unit is the meter. `photoshop` are IPTC data or image resources.
    `damaged` names the chunks that were left out because of their checksum or content, `dropped` those that may depend
    on the pixels.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    photoshop: bytes | None = None
    density: tuple[int, int, bool] | None = None
    time: bytes | None = None
    texts: tuple[tuple[bytes, bytes], ...] = ()
    others: tuple[tuple[bytes, bytes], ...] = ()
    color: tuple[tuple[bytes, bytes], ...] = ()
    damaged: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def dpi(self) -> tuple[float, float] | None:
        """The resolution as (x, y), if the unit is known."""
        if self.density is None or not self.density[2]:
            return None
        return self.density[0] * 0.0254, self.density[1] * 0.0254


def read_ancillary(file: BinaryIO) -> Ancillary:
    """Return what a PNG file carries beside its pixels, from before and after them."""
    found: dict[str, bytes] = {}
    structure: dict[bytes, bytes] = {}
    texts, others, color, damaged, dropped = [], [], [], [], []
    for chunk in walk(file):
        kind = chunk.kind
        if kind in (b"IHDR", b"PLTE", b"acTL"):
            structure[kind] = chunk.read(file)
        if kind == b"PLTE" and structure.get(b"IHDR", b"").ljust(13, b"\0")[9] != _PALETTE:
            dropped.append("PLTE")  # a suggestion
        if kind in _STRUCTURE or not kind.isalpha():
            continue
        if not is_copied(kind) and kind not in (*TEXT, *_COLOR, *_SINGLE):
            if kind != _SIGNIFICANT_BITS or set(chunk.read(file)) != {_sample_bits(structure)}:
                dropped.append(kind.decode("ascii"))
            continue
        data = chunk.read(file)
        if file.read(4) != zlib.crc32(kind + data).to_bytes(4, "big"):
            damaged.append(kind.decode("ascii"))
        elif kind in TEXT:
            name, profile = _profile_of_text(kind, data)
            if name:
                found.setdefault(name, profile)
            else:
                texts.append((kind, data))
        elif kind in _COLOR:
            color.append((kind, data))
        elif kind in _SINGLE:
            found.setdefault(kind.decode("ascii"), data)
        else:
            others.append((kind, data))
    icc = found.get("icc")
    if compressed := found.get("iCCP"):
        icc = _inflated(compressed.partition(b"\0")[2][1:])
        if not icc:
            damaged.append("iCCP")
    if background := _background(found.get("bKGD", b""), structure):
        others.append((_BACKGROUND, background))
    exif = found.get("eXIf") or found.get("exif")
    return Ancillary(
        icc or None,
        exif.removeprefix(b"Exif\0\0") if exif else None,
        found.get("xmp"),
        found.get("photoshop"),
        _density(found.get("pHYs")),
        found.get("tIME"),
        tuple(texts),
        tuple(others),
        tuple(color),
        tuple(damaged),
        tuple(dict.fromkeys(dropped)),
    )


def samples_of(head: bytes) -> tuple[int, int]:
    """Return the bits of a sample and the channels of a pixel of a PNG file without a palette, from its first bytes."""
    bits, color_type = head[24:26]  # of IHDR
    return bits, (3 if color_type & _HAS_COLOR else 1) + (color_type & _HAS_ALPHA > 0)


def is_copied(kind: bytes) -> bool:
    """Return whether a chunk means the same beside other pixels: its name says so (section 5.4), or we know."""
    return kind in _KEPT or bool(kind[0] & kind[3] & 0x20)


def text_of(kind: bytes, data: bytes) -> tuple[str, str]:
    """Return the keyword and the text of a tEXt, zTXt or iTXt chunk."""
    keyword, _, rest = data.partition(b"\0")
    if kind == b"tEXt":
        return keyword.decode("latin-1"), rest.decode("latin-1")
    if kind == b"zTXt":
        return keyword.decode("latin-1"), _inflated(rest[1:]).decode("latin-1")
    flag, (_, _, text) = rest[:1], (*rest[2:].split(b"\0", 2), b"", b"")[:3]
    return keyword.decode("latin-1"), (_inflated(text) if flag == b"\1" else text).decode("utf-8", "replace")


def text_chunk(keyword: str, text: str) -> tuple[bytes, bytes]:
    """Return a chunk of text: tEXt if it is Latin-1, else iTXt."""
    try:
        return b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", keyword.encode("latin-1") + bytes(5) + text.encode("utf-8", "surrogateescape")


def xmp_chunk(xmp: str) -> tuple[bytes, bytes]:
    """Return the iTXt chunk of an XMP packet."""
    return b"iTXt", _XMP_KEYWORD + bytes(5) + xmp.encode("utf-8", "surrogateescape")


def profile_chunk(icc: bytes) -> tuple[bytes, bytes]:
    """Return the iCCP chunk of an ICC profile."""
    return b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)


def density_chunk(x: int, y: int, *, is_per_meter: bool) -> tuple[bytes, bytes]:
    """Return the pHYs chunk of pixels per meter, or of the shape of a pixel."""
    return b"pHYs", x.to_bytes(4, "big") + y.to_bytes(4, "big") + bytes([is_per_meter])


def raw_profile_chunk(name: str, profile: bytes) -> tuple[bytes, bytes]:
    """Return the text chunk in which ImageMagick, ExifTool and Exiv2 keep a profile that PNG has no chunk for."""
    digits = profile.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{name}\n{len(profile):8}\n{lines}\n"
    return b"zTXt", _RAW_PROFILE + name.encode() + b"\0\0" + zlib.compress(text.encode())


def background_for(kind: bytes, data: bytes, *, is_gray: bool) -> tuple[bytes, bytes] | None:
    """Return a chunk as it is for gray or RGB pixels; None for a background color that has no gray."""
    if kind != _BACKGROUND:
        return kind, data
    color = data * 3 if len(data) == 2 else data
    if not is_gray:
        return kind, color
    return (kind, color[:2]) if color == color[:2] * 3 else None


def scaled(kind: bytes, data: bytes, factor: tuple[float, float]) -> tuple[bytes, bytes]:
    """Return a chunk as it is for a picture `factor` times as wide and high: offset in px, canvas, size of a pixel."""
    if kind == b"oFFs" and len(data) == 9 and data[8] == 0:
        places = (int.from_bytes(data[at : at + 4], "big", signed=True) for at in (0, 4))
        moved = (round(place * by) for place, by in zip(places, factor, strict=True))
        return kind, b"".join(place.to_bytes(4, "big", signed=True) for place in moved) + data[8:]
    if kind in (b"caNv", b"vpAg") and len(data) >= 8:
        end = len(data) // 8 * 8
        sides = [int.from_bytes(data[at : at + 4], "big", signed=True) for at in range(0, end, 4)]
        larger = (round(side * factor[i % 2]) for i, side in enumerate(sides))
        return kind, b"".join(side.to_bytes(4, "big", signed=True) for side in larger) + data[end:]
    if kind == b"sCAL":
        parts = data[1:].split(b"\0")
        try:
            smaller = [b"%.9g" % (float(part) / by) for part, by in zip(parts, factor, strict=True)]
        except ValueError:
            return kind, data
        return kind, data[:1] + b"\0".join(smaller)
    return kind, data


def pixels_only(file: BinaryIO) -> BinaryIO:
    """Return a view of a PNG file that has only the chunks of its still image, and what follows a cut-off chunk."""
    parts: list[tuple[int, int]] = [(0, len(SIGNATURE))]
    end = len(SIGNATURE)
    kind = b""
    for chunk in walk(file):
        kind, end = chunk.kind, chunk.at + chunk.length + 4
        if kind in _PIXEL_CHUNKS:
            parts.append((chunk.at - 8, chunk.length + 12))
    if kind != b"IEND":
        parts.append((end, file.seek(0, io.SEEK_END) - end))
    return io.BufferedReader(_Parts(file, parts))


def build(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG file of chunks, each a type and its data."""
    return SIGNATURE + b"".join(chunk_bytes(kind, data) for kind, data in chunks)


def chunk_bytes(kind: bytes, data: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def scale_transparency(image: Image.Image, header: bytes) -> None:
    """Scale the transparent value of a gray PNG of 2 or 4 bits, as Pillow does with the samples but not with tRNS.

    `header` is the data of IHDR.
    """
    bits, color_type = header[8:10]
    value = image.info.get("transparency")
    if color_type == _GRAY and bits in (2, 4) and isinstance(value, int):
        image.info["transparency"] = value % 2**bits * (255 // (2**bits - 1))


class _Parts(io.RawIOBase):
    """Read parts of a file, each (offset, length) in bytes, as one file."""

    def __init__(self, file: BinaryIO, parts: list[tuple[int, int]]) -> None:
        self._file, self._parts, self._at = file, parts, 0
        self._size = sum(length for _, length in parts)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        begin = 0
        for offset, length in self._parts:
            if self._at < begin + length:
                self._file.seek(offset + self._at - begin)
                data = self._file.read(min(len(buffer), begin + length - self._at))
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            begin += length
        return 0


def _profile_of_text(kind: bytes, data: bytes) -> tuple[str, bytes]:
    """Return "xmp", "exif", "icc" or "photoshop" and its bytes if a text chunk holds it, else two empty values.

    ImageMagick writes profiles as "Raw profile type" text: a name, a length and hexadecimal digits on lines.
    """
    keyword, _, rest = data.partition(b"\0")
    if keyword == _XMP_KEYWORD:
        packet = _xmp_of_text(kind, rest)
        return ("xmp", packet) if packet else ("", b"")
    name = _RAW_PROFILES.get(keyword.removeprefix(_RAW_PROFILE))
    if name is None or not keyword.startswith(_RAW_PROFILE):
        return "", b""
    lines = (_inflated(rest[1:]) if kind == b"zTXt" else rest).split(b"\n")
    try:
        profile = bytes.fromhex(b"".join(lines[3:]).decode("ascii"))
    except ValueError:
        return "", b""
    if profile.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        return "xmp", profile.partition(b"\0")[2]
    return (name, profile) if profile else ("", b"")


def _xmp_of_text(kind: bytes, rest: bytes) -> bytes:
    """Return the packet behind the keyword of a text chunk, in UTF-8; Qt writes it as Latin-1 if it can."""
    if kind == b"iTXt":
        flag, (_, _, text) = rest[:1], (*rest[2:].split(b"\0", 2), b"", b"")[:3]
        return _inflated(text) if flag == b"\1" else text
    text = _inflated(rest[1:]) if kind == b"zTXt" else rest
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text


def _inflated(data: bytes) -> bytes:
    """Return inflated data, at most _MOST_BYTES of it; b"" if it is damaged or longer."""
    inflate = zlib.decompressobj()
    try:
        result = inflate.decompress(data, _MOST_BYTES)
    except zlib.error:
        return b""
    return result if inflate.eof else b""


def _sample_bits(structure: dict[bytes, bytes]) -> int:
    """Return the bits of a sample as it is shown: colors of a palette have 8."""
    header = structure.get(b"IHDR", b"").ljust(13, b"\0")
    return 8 if header[9] == _PALETTE else header[8]


def _background(data: bytes, structure: dict[bytes, bytes]) -> bytes | None:
    """Return the background color, in the 8 or 16 bits in which the pixels are written: gray or RGB, or None."""
    header, palette = structure.get(b"IHDR", b"").ljust(13, b"\0"), structure.get(b"PLTE", b"")
    bits, color_type = header[8:10]
    if color_type == _PALETTE:
        color = palette[3 * data[0] : 3 * data[0] + 3] if len(data) == 1 else b""
        return b"".join(bytes([0, value]) for value in color) or None
    if len(data) != (6 if color_type & _HAS_COLOR else 2):
        return None
    values = [int.from_bytes(data[at : at + 2], "big") % (1 << bits) for at in range(0, len(data), 2)]
    if bits < 8:
        values = [value * 255 // (2**bits - 1) for value in values]
    elif bits == 16 and b"acTL" in structure:  # animations are written in 8 bits
        values = [value >> 8 for value in values]
    return b"".join(value.to_bytes(2, "big") for value in values)


def _density(data: bytes | None) -> tuple[int, int, bool] | None:
    if data is None or len(data) != 9:
        return None
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big"), data[8] == 1
