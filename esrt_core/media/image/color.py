"""Carry the description of color, in whatever form: read it, and give a target the form it holds, or sRGB pixels."""

import struct
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import cicp
from esrt_core.media.image.formats import AVIF, HEIF, PNG, TIFF, Format
from esrt_core.media.image.icc import frame_to_srgb, is_nearly_srgb, profile_for
from esrt_core.media.image.isobmff import properties
from esrt_core.media.image.opening import Opened
from esrt_core.media.image.picture import Metadata

Chunks = tuple[tuple[bytes, bytes], ...]
_TRANSFER_NAMES = {cicp.PQ: "PQ", cicp.HLG: "HLG"}
_PRIMARIES_NAMES = {9: "BT.2020", 12: "P3"}
_CURVE_POINTS = 1024


def read_color(
    opening: Opened, icc: bytes | None, page_number: int
) -> tuple[cicp.CodePoints | None, Chunks, bytes | None]:
    """Return the code points of a PNG, AVIF or HEIF, a PNG's other color chunks, and the profile.

    The profile is `icc`; for a TIFF without one it is made of the page's primaries, white point and transfer function.
    `page_number` is that of the page, from 0.
    """
    if opening.format in (AVIF, HEIF):
        if icc is not None:  # there a profile goes first
            return None, (), icc
        return cicp.from_properties(properties(opening.read_at, opening.byte_size)), (), None
    if opening.format is TIFF:
        return None, (), icc or _profile_of_tags(opening, page_number)
    chunks = () if opening.ancillary is None else opening.ancillary.color
    return cicp.from_chunks(chunks), tuple((kind, data) for kind, data in chunks if kind != b"cICP"), icc


def in_form_for(metadata: Metadata, target: Format, space: ColorSpace) -> tuple[Metadata, tuple[str, ...]]:
    """Return metadata whose color is described in a form that the target holds, and a note if there is none.

    A target that holds none gets pixels in sRGB before, see `to_srgb`.
    """
    color = metadata.color
    if target is PNG:
        return replace(metadata, color=None if color is None or cicp.is_like_srgb(color) else color), ()
    if target.cicp and color is not None:
        return replace(metadata, icc=None, color_chunks=()), ()
    icc = profile_of(metadata, space)
    lost = _is_lost(metadata, icc)
    metadata = replace(metadata, color=None, color_chunks=(), icc=icc if target.icc else None)
    note = f"{_name(color)} is not described in the result: {target.label} cannot hold it; use --format png"
    return metadata, (note,) if lost else ()


def to_srgb(frame: Frame, metadata: Metadata, target: Format) -> tuple[Frame, tuple[str, ...]]:
    """Return pixels in sRGB if the target holds no profile, and notes; HDR pixels stay as they are."""
    icc = profile_for(profile_of(metadata, frame.space), frame.space)
    if target.icc or icc is None or is_nearly_srgb(icc, frame.space):
        return frame, ()
    converted = frame_to_srgb(frame, icc)
    if converted is None:
        return frame, ("color profile left out: it is damaged",)
    return converted, (f"colors converted to sRGB: {target.label} holds no color profile",)


def profile_of(metadata: Metadata, space: ColorSpace) -> bytes | None:
    """Return an ICC profile of the color that metadata describe in any form; None for sRGB and HDR."""
    color = metadata.color
    if color is None or cicp.is_like_srgb(color):
        chunks = metadata.color_chunks if color is None else ()
        return metadata.icc or cicp.profile_of_chunks(chunks, space)
    return cicp.profile_of(color, space) or metadata.icc


def _is_lost(metadata: Metadata, icc: bytes | None) -> bool:
    """Return whether code points describe a color that no profile does."""
    return metadata.color is not None and not cicp.is_like_srgb(metadata.color) and icc is None


def _name(color: cicp.CodePoints | None) -> str:
    transfer = "" if color is None else _TRANSFER_NAMES.get(color.transfer, "")
    if color is None or not transfer:
        return "color"
    return f"HDR color ({transfer}, {_PRIMARIES_NAMES.get(color.primaries, 'other primaries')})"


def _profile_of_tags(opening: Opened, number: int) -> bytes | None:
    """Return a profile of a TIFF page's own description of color, TIFF 6.0 section 20; None without one."""
    page = opening.tiff_page(number)
    if page.photometric != 2 or "PrimaryChromaticities" not in page.tags:  # RGB
        return None
    points = _fractions(page.tags["PrimaryChromaticities"].value)
    white = _fractions(page.tags["WhitePoint"].value) if "WhitePoint" in page.tags else [0.3127, 0.3290]
    if len(points) != 6 or len(white) != 2 or min(*points, *white) <= 0:
        return None
    red, green, blue = zip(points[::2], points[1::2], strict=True)
    primaries = cicp.Primaries(red, green, blue, (white[0], white[1]))
    transfer = page.tags["TransferFunction"].value if "TransferFunction" in page.tags else None
    if transfer is None and cicp.is_near(primaries, cicp.SRGB_PRIMARIES):
        return None
    return cicp.build_profile(primaries, _curves(transfer), ColorSpace.RGB)


def _fractions(value: Any) -> list[float]:
    """Return the values of a RATIONAL tag, which tifffile gives as numerators and denominators in turn."""
    numbers = np.ravel(value).astype(np.float64)
    return [float(top / bottom) if bottom else 0.0 for top, bottom in zip(numbers[::2], numbers[1::2], strict=False)]


def _curves(transfer: Any) -> list[bytes]:
    """Return the tone curves of red, green and blue, as ICC tags, of a TransferFunction; gamma 2.2 without one."""
    table = np.ravel(transfer).astype(np.uint16) if transfer is not None else np.empty(0, np.uint16)
    parts = np.split(table, 3) if len(table) % 3 == 0 and len(table) else [table] * 3
    if not len(parts[0]):
        return [cicp.curve_tag(cicp.Curve(2.2))] * 3
    return [_table_tag(part) for part in parts]


def _table_tag(table: NDArray[np.uint16]) -> bytes:
    count = min(len(table), _CURVE_POINTS)
    points = np.interp(np.linspace(0, len(table) - 1, count), np.arange(len(table)), table)
    return b"curv" + struct.pack(">II", 0, count) + np.rint(points).astype(">u2").tobytes()
