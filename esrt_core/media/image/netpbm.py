"""Netpbm files: read PNM of more than 8 bits and PFM, and write both.

Pillow reduces color of more than 8 bits, and reads no color PFM. https://netpbm.sourceforge.net/doc/ppm.html;
PFM: https://www.pauldebevec.com/Research/HDR/PFM/
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.pixels import raw_samples

_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(rb"(P[2356])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)(?:#[^\n]*)?\s")
_ANY = re.compile(rb"(?:P[14](?:%s\d+){2}|P[2356](?:%s\d+){3})(?:#[^\n]*)?" % (_GAP, _GAP))
_COMMENT = re.compile(rb"#[ \t]?([^\r\n]*)")
_PFM = re.compile(rb"(P[Ff])\s+(\d+)\s+(\d+)\s+([-+]?[0-9.eE+-]+)[ \t\r]*\n")
HEADER_BYTES = 1 << 16  # that are read; comments may be long
_COLOR = (b"P3", b"P6", b"PF")
_PLAIN = (b"P2", b"P3")


@dataclass(frozen=True)
class Header:
    """Hold a Netpbm header: size in px, channels, and the value of white (a PFM's scale); its pixels start at `end`."""

    magic: bytes
    width: int
    height: int
    peak: float
    end: int

    @property
    def is_float(self) -> bool:
        """Whether it is a PFM."""
        return self.magic in (b"PF", b"Pf")

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, 3)."""
        return (self.height, self.width, 3) if self.magic in _COLOR else (self.height, self.width)


def read_header(head: bytes) -> Header | None:
    """Return the header of a gray or color PNM, or of a PFM, from a file's first bytes; None for any other file."""
    found = _PNM.match(head) or _PFM.match(head)
    if found is None:
        return None
    try:
        return Header(found[1], int(found[2]), int(found[3]), float(found[4]), found.end())
    except ValueError:
        return None


def comment_of(head: bytes) -> bytes | None:
    """Return the lines of comment in a PNM's header, b"" if it has none; None if the header is longer than `head`."""
    found = _ANY.match(head)
    return None if found is None else b"\n".join(_COMMENT.findall(found[0]))


def decode_pnm(data: bytes) -> NDArray[np.uint16]:
    """Return the samples of a PNM, (H, W) or (H, W, 3), 0 to its highest value.

    Raises: MediaError if samples are missing or above the highest value.
    """
    header = read_header(data)
    assert header is not None
    count = math.prod(header.shape)
    if header.magic in _PLAIN:
        samples = _plain_samples(data[header.end :], count)
    else:
        samples = raw_samples(data, ">u2" if header.peak > 255 else np.uint8, count, header.end)
    if samples.size and samples.max() > header.peak:
        raise MediaError(f"a sample is above the maximum of {header.peak:.0f}")
    return samples.reshape(header.shape).astype(np.uint16)


def decode_pfm(data: bytes) -> NDArray[np.float32]:
    """Return the samples of a PFM, (H, W) or (H, W, 3), from the top row down. A negative scale means little-endian.

    Raises: MediaError if samples are missing.
    """
    header = read_header(data)
    assert header is not None
    samples = raw_samples(data, "<f4" if header.peak < 0 else ">f4", math.prod(header.shape), header.end)
    return samples.reshape(header.shape)[::-1].astype(np.float32)


def _plain_samples(text: bytes, count: int) -> NDArray[np.int64]:
    """Return samples that are written as decimal numbers."""
    words = re.sub(rb"#[^\n]*", b"", text).split()[:count]
    if len(words) < count:
        raise MediaError(f"{count - len(words):,} of {count:,} samples are missing")
    if not all(word.isdigit() and len(word) < 10 for word in words):
        raise MediaError("a sample is not a number")
    return np.array(words).astype(np.int64)


def pnm(frame: Frame, bits: int, comments: Iterable[bytes] = ()) -> tuple[bytes, NDArray[Any]]:
    """Return the header, with comments, and samples of a PNM of a GRAY or RGB frame of `bits` bits a sample."""
    magic = b"P5" if frame.space is ColorSpace.GRAY else b"P6"
    lines = [line for comment in comments for line in re.split(rb"\r\n?|\n", comment)]
    text = b"".join(b"# %s\n" % line for line in lines)
    header = b"%s\n%s%d %d\n%d\n" % (magic, text, frame.width, frame.height, 2**bits - 1)
    return header, frame.planes[0].astype(">u2" if bits > 8 else np.uint8)


def pfm(frame: Frame) -> tuple[bytes, NDArray[Any]]:
    """Return the header and samples of a little-endian PFM of a GRAY or RGB frame of float samples."""
    magic = b"Pf" if frame.space is ColorSpace.GRAY else b"PF"
    return b"%s\n%d %d\n-1.0\n" % (magic, frame.width, frame.height), frame.planes[0][::-1].astype("<f4")
