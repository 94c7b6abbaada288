"""Color that is described without an ICC profile, by code points (CICP) or by gamma and primaries, and profiles for it.

ITU-T H.273 (07/2024), tables 2 and 3; ICC.1:2022, https://www.color.org/specification/ICC.1-2022-05.pdf.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.frame import ColorSpace

PQ, HLG = 16, 18  # transfer characteristics of HDR, which are not relative to white
_UNSPECIFIED = 2
_BT2020 = 9  # primaries
_MATRIX_BT601, _MATRIX_BT2020 = 6, 9
_D65 = (0.3127, 0.3290)
_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of the profile connection space, XYZ
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Point = tuple[float, float]  # CIE 1931 x, y


@dataclass(frozen=True)
class Primaries:
    """Hold the chromaticities of red, green, blue and white."""

    red: Point
    green: Point
    blue: Point
    white: Point = _D65


@dataclass(frozen=True)
class Curve:
    """Hold a transfer function from sample x to light, 0..1: (a x + b) ** g if x >= d, else c x."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


@dataclass(frozen=True)
class CodePoints:
    """Hold H.273's color primaries and transfer characteristics."""

    primaries: int
    transfer: int

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer function is one of HDR."""
        return self.transfer in (PQ, HLG)


SRGB, UNSPECIFIED = CodePoints(1, 13), CodePoints(_UNSPECIFIED, _UNSPECIFIED)
# A temporal delimiter and the length of the sequence header behind it; there color_description_present_flag, and sRGB.
_SEQUENCE_HEADER = re.compile(rb"\x12\0\x0a([\x04-\x40])", re.DOTALL)
_AS_SRGB = 1 << 24 | 1 << 16 | 13 << 8 | _MATRIX_BT601
_PRIMARIES = {
    1: Primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    4: Primaries((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), (0.310, 0.316)),
    5: Primaries((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
SRGB_PRIMARIES = _PRIMARIES[1]
_BT709 = Curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_SRGB = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_CURVES = {1: _BT709, 4: Curve(2.2), 5: Curve(2.8), 6: _BT709, 8: Curve(1.0), 13: _SRGB, 14: _BT709, 15: _BT709}
_LIKE_SRGB = (1, _UNSPECIFIED, 6, 13, 14, 15)  # transfers that viewers show as sRGB with the primaries of BT.709


def from_properties(properties: Iterable[tuple[bytes, bytes]]) -> CodePoints | None:
    """Return the code points among the properties of an AVIF or HEIF item; None if unspecified.

    ISO 23008-12, box colr.
    """
    for kind, content in properties:
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            return _specified(int.from_bytes(content[4:6], "big"), int.from_bytes(content[6:8], "big"))
    return None


def with_nclx(file: bytes, color: CodePoints) -> bytes:
    """Return an AVIF that Pillow wrote as sRGB, its boxes and bitstream naming the primaries and transfer instead.

    The matrix stays.
    """
    points = color.primaries.to_bytes(2, "big") + color.transfer.to_bytes(2, "big")
    head, media, rest = file.partition(b"mdat")
    return (
        re.sub(rb"colrnclx....", lambda _: b"colrnclx" + points, head, flags=re.DOTALL)
        + media
        + _redescribed(rest, color)
    )


def _redescribed(media: bytes, color: CodePoints) -> bytes:
    """Return AV1 data whose sequence headers describe another color than sRGB (AV1 specification, 5.5.2)."""
    patched = bytearray(media)
    change = (color.primaries - SRGB.primaries << 16) + (color.transfer - SRGB.transfer << 8)
    for found in _SEQUENCE_HEADER.finditer(media):
        start, end = found.end(), found.end() + found[1][0]
        header = int.from_bytes(media[start:end])
        places = [shift for shift in range(8 * len(media[start:end]) - 24) if header >> shift & 0x1FFFFFF == _AS_SRGB]
        if len(places) == 1:
            patched[start:end] = (header + (change << places[0])).to_bytes(end - start)
    return bytes(patched)


def from_chunks(chunks: Iterable[tuple[bytes, bytes]]) -> CodePoints | None:
    """Return the code points of a PNG's cICP chunk, or None."""
    data = dict(chunks).get(b"cICP", b"")
    return _specified(data[0], data[1]) if len(data) == 4 and data[2] == 0 else None


def chunk(color: CodePoints) -> tuple[bytes, bytes]:
    """Return PNG's cICP chunk for full-range RGB."""
    return b"cICP", bytes([color.primaries, color.transfer, 0, 1])


def matrix_for(color: CodePoints) -> int:
    """Return the matrix coefficients with which such RGB is stored as YCbCr (H.273, table 4)."""
    return _MATRIX_BT2020 if color.primaries == _BT2020 else _MATRIX_BT601


def is_like_srgb(color: CodePoints) -> bool:
    """Return whether a file without a description means the same."""
    return color.primaries == 1 and color.transfer in _LIKE_SRGB


def profile_of(color: CodePoints, space: ColorSpace) -> bytes | None:
    """Return an ICC profile of the same color; None for HDR and reserved code points."""
    primaries, curve = _PRIMARIES.get(color.primaries), _CURVES.get(color.transfer)
    if primaries is None or curve is None:
        return None
    return build_profile(primaries, [curve_tag(curve)] * 3, space)


def profile_of_chunks(chunks: Iterable[tuple[bytes, bytes]], space: ColorSpace) -> bytes | None:
    """Return an ICC profile of a PNG's gAMA and cHRM chunks; None without them, or if sRGB is said or meant."""
    found = dict(chunks)
    gamma, points = found.get(b"gAMA", b""), found.get(b"cHRM", b"")
    if b"sRGB" in found or len(gamma) != 4 or not (exponent := int.from_bytes(gamma, "big")):
        return None
    primaries = _PRIMARIES[1]
    if len(points) == 32:
        white, red, green, blue = ((x / 100_000, y / 100_000) for x, y in struct.iter_unpack(">II", points))
        if min(white[1], red[1], green[1], blue[1]) <= 0:
            return None
        primaries = Primaries(red, green, blue, white)
    if exponent == 45455 and is_near(primaries, SRGB_PRIMARIES):
        return None
    return build_profile(primaries, [curve_tag(Curve(100_000 / exponent))] * 3, space)


def curve_tag(curve: Curve) -> bytes:
    """Return a transfer function as the data of an ICC tag."""
    return b"para" + struct.pack(">IHH", 0, 3, 0) + b"".join(map(_fixed, (curve.g, curve.a, curve.b, curve.c, curve.d)))


def build_profile(primaries: Primaries, curves: Sequence[bytes], space: ColorSpace) -> bytes:
    """Return an ICC profile, version 4.3, for RGB of primaries and three tone curves (tags), or for GRAY."""
    tags = {b"desc": _text("Made of the source's color description"), b"cprt": _text("CC0"), b"wtpt": _xyz(_D50)}
    if space is ColorSpace.GRAY:
        tags[b"kTRC"] = curves[0]
    else:
        adaptation = _adaptation(_xyz_of(primaries.white))
        columns = adaptation @ _to_xyz(primaries)
        tags[b"chad"] = b"sf32" + bytes(4) + b"".join(_fixed(value) for value in adaptation.ravel())
        for index, channel in enumerate((b"r", b"g", b"b")):
            tags[channel + b"XYZ"] = _xyz(columns[:, index])
            tags[channel + b"TRC"] = curves[index]
    return _assembled(tags, b"GRAY" if space is ColorSpace.GRAY else b"RGB ")


def _specified(primaries: int, transfer: int) -> CodePoints | None:
    return None if _UNSPECIFIED in (primaries, transfer) else CodePoints(primaries, transfer)


def is_near(first: Primaries, second: Primaries) -> bool:
    """Return whether two sets of chromaticities are the same within 0.001."""

    def points(of: Primaries) -> list[Point]:
        return [of.red, of.green, of.blue, of.white]

    return bool(np.allclose(points(first), points(second), atol=0.001))


def _xyz_of(point: Point) -> NDArray[np.float64]:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _to_xyz(primaries: Primaries) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to XYZ, white at Y = 1."""
    columns = np.column_stack([_xyz_of(point) for point in (primaries.red, primaries.green, primaries.blue)])
    return columns * np.linalg.solve(columns, _xyz_of(primaries.white))


def _adaptation(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Bradford's matrix from a white to D50 (ICC.1:2022, annex E)."""
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ (gains[:, None] * _BRADFORD))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(float(value) * 65536))


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(value) for value in values)


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(data), 28) + data


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for signature, content in tags.items():
        table += signature + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    dates = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    header = struct.pack(">I4sI4s4s4s", start + len(data), bytes(4), 0x04300000, b"mntr", space, b"XYZ ")
    header += dates + b"acsp" + bytes(28) + b"".join(_fixed(value) for value in _D50)
    return header.ljust(128, b"\0") + table + data
