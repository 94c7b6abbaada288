"""The structure of Photoshop files: headers, image resources, layers, and what of the merged image is read.

Adobe Photoshop File Formats Specification, https://www.adobe.com/devnet-apps/photoshop/fileformatashtml/
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from esrt_core.media.image import photoshop
from esrt_core.media.image.icc import to_srgb
from esrt_core.media.image.isobmff import ReadAt

HEADER_BYTES = 26
LARGE = 2  # the version of a PSB
BITMAP, GRAY, INDEXED, RGB, CMYK, MULTICHANNEL, DUOTONE, LAB = 0, 1, 2, 3, 4, 7, 8, 9  # color modes
CONVERTED = {CMYK: "CMYK", LAB: "LAB"}
COLORS = {BITMAP: 1, GRAY: 1, INDEXED: 1, RGB: 3, CMYK: 4, MULTICHANNEL: 1, DUOTONE: 1, LAB: 3}  # their channels
_HEADER = struct.Struct(">4sH6xHIIHH")  # signature, version, channels, height, width, bits, color mode
_VERSION_AT = 4
_MOST_RESOURCE_BYTES = 1 << 26
_MOST_CHANNELS, _MOST_BLOCKS = 100, 10_000  # Photoshop says 56, and writes 57
_TRANSPARENT_INDEX = 0x0417
_DEEP_LAYERS = (b"Lr16", b"Lr32", b"Layr")
_TRANSPARENT = (b"Mtrn", b"Mt16", b"Mt32")  # blocks that say that the merged image is
_LONG_BLOCKS = (*_DEEP_LAYERS, *_TRANSPARENT, b"LMsk", b"Alph", b"FMsk", b"lnk2", b"FEid", b"FXid", b"PxSD")


@dataclass(frozen=True)
class Header:
    """Hold the header of a Photoshop file, and whether its merged image has transparency.

    `stored` are its channels; `is_large` is whether it is a PSB; `transparent` is the transparent index of INDEXED.
    """

    is_large: bool
    stored: int
    height: int
    width: int
    bits: int
    mode: int
    has_transparency: bool = False
    transparent: int | None = None

    @property
    def has_alpha(self) -> bool:
        """Whether the first channel behind those of color is alpha; Pillow takes any fourth of RGB as that."""
        return self.stored > COLORS[self.mode] and (self.has_transparency or (self.mode, self.stored) == (RGB, 4))

    @property
    def channels(self) -> int:
        """The channels of what is read: 1 (gray), 2 (with alpha), 3 (RGB) or 4."""
        is_color = self.mode in (INDEXED, RGB, CMYK, LAB)
        return (3 if is_color else 1) + (self.has_alpha or self.transparent is not None)

    @property
    def further(self) -> int:
        """How many channels are not read."""
        return self.stored - COLORS[self.mode] - self.has_alpha

    @property
    def is_read_by_pillow(self) -> bool:
        """Whether Pillow reads it right: it inverts bitmaps, errs in LAB, and loses its way among further channels."""
        plain = self.bits == 8 and not self.is_large and self.mode not in (BITMAP, LAB) and self.transparent is None
        return plain and (self.stored == COLORS[self.mode] or (self.mode, self.stored) == (RGB, 4))

    @property
    def as_read(self) -> tuple[int, bytes]:
        """The place and bytes of the header of such a file that Pillow opens."""
        mode = RGB if self.channels > 2 else GRAY
        return _VERSION_AT, struct.pack(">H6xHIIHH", 1, max(3, self.stored), self.height, self.width, 8, mode)


def read_header(head: bytes, read_at: ReadAt) -> Header | None:
    """Return the header of a Photoshop file whose merged image can be read, from its first bytes; None for others."""
    if len(head) < HEADER_BYTES:
        return None
    signature, version, stored, height, width, bits, mode = _HEADER.unpack_from(head)
    depths = (1,) if mode == BITMAP else (8,) if mode == INDEXED else (8, 16)
    known = signature == b"8BPS" and version in (1, LARGE) and mode in COLORS and bits in depths
    if not known or not COLORS[mode] <= stored <= _MOST_CHANNELS:
        return None
    has_transparency = _has_transparency(read_at) if mode not in (BITMAP, INDEXED, MULTICHANNEL) else False
    transparent = None
    if mode == INDEXED:
        found = next(
            (data for number, data, _ in photoshop.resources(resources(read_at)) if number == _TRANSPARENT_INDEX), b""
        )
        transparent = int.from_bytes(found[:2], "big") if len(found) >= 2 else None
    return Header(version == LARGE, stored, height, width, bits, mode, has_transparency, transparent)


def left_out(header: Header, icc: bytes | None) -> tuple[str, ...]:
    """Return notes on what is not read of a file's merged image, or is converted."""
    notes = []
    if header.mode == MULTICHANNEL and header.stored > 1:
        return (f"only the first of {header.stored} channels of the multichannel Photoshop file is read, as gray",)
    if header.mode == DUOTONE:
        notes.append("the inks of the duotone are left out: it is read as gray")
    if header.mode in CONVERTED and not header.is_read_by_pillow:
        name = CONVERTED[header.mode]
        notes.append(to_srgb(name, icc)[1])
        if header.bits == 16:
            notes.append(f"{name} reduced to 8 bits")
    if header.further:
        notes.append(f"further channels of the Photoshop file ({header.further}) left out")
    return tuple(notes)


def resources(read_at: ReadAt) -> bytes:
    """Return the section of image resources."""
    at = 30 + int.from_bytes(read_at(26, 4), "big")
    return read_at(at + 4, min(int.from_bytes(read_at(at, 4), "big"), _MOST_RESOURCE_BYTES))


def layer_count(read_at: ReadAt) -> int:
    """Return how many layers a file has beside its merged image."""
    return abs(_signed_count(read_at))


def _has_transparency(read_at: ReadAt) -> bool:
    """Return whether the first further channel of the merged image is its transparency; its colors lie on white."""
    if _signed_count(read_at) < 0:
        return True
    return any(kind in _TRANSPARENT for kind, _ in _blocks(read_at))


def _signed_count(read_at: ReadAt) -> int:
    """Return the number of layers (section "Layer Info"), negative if the merged image has transparency."""
    at, size = layer_section(read_at)
    wide = _length_bytes(read_at)
    if size < wide + 2:
        return 0
    if int.from_bytes(read_at(at, wide), "big"):
        return int.from_bytes(read_at(at + wide, 2), "big", signed=True)
    counts = (read_at(start, 2) for kind, start in _blocks(read_at) if kind in _DEEP_LAYERS)  # of 16 bits a sample
    return int.from_bytes(next(counts, b""), "big", signed=True)


def layer_section(read_at: ReadAt) -> tuple[int, int]:
    """Return where the section of layers and masks begins, behind its length, and its length."""
    at = HEADER_BYTES
    for _ in range(2):  # color mode data, image resources
        at += 4 + int.from_bytes(read_at(at, 4), "big")
    wide = _length_bytes(read_at)
    return at + wide, int.from_bytes(read_at(at, wide), "big")


def _length_bytes(read_at: ReadAt) -> int:
    """Return how many bytes the length of a section of layers has."""
    return 8 if read_at(_VERSION_AT, 2) == b"\0\2" else 4


def _blocks(read_at: ReadAt) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and place of each block behind the layers and the global mask."""
    at, size = layer_section(read_at)
    end, wide = at + size, _length_bytes(read_at)
    for length in (wide, 4):  # layers, global mask
        at += length + int.from_bytes(read_at(at, length), "big")
    for _ in range(_MOST_BLOCKS):
        header = read_at(at, 8)
        if at + 12 > end or header[:4] not in (b"8BIM", b"8B64"):
            return
        length = wide if header[4:] in _LONG_BLOCKS else 4
        yield header[4:], at + 8 + length
        at += 8 + length + -(-int.from_bytes(read_at(at + 8, length), "big") // 4) * 4
