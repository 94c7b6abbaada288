"""Netpbm files: read plain PNM, PNM of more than 8 bits, PAM and PFM, and write all but the first.

Pillow reduces color of more than 8 bits, reads no PAM and no color PFM, and misreads some comments among plain samples.
https://netpbm.sourceforge.net/doc/ppm.html, .../pam.html; PFM: https://www.pauldebevec.com/Research/HDR/PFM/
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

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM = re.compile(rb"(P[2356])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)(?:#[^\r\n]*)?\s")
_PLAIN_BITS = re.compile(rb"(P1)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)(?:#[^\r\n]*)?\s")
_ANY = re.compile(rb"(?:P[14](?:%s\d+){2}|P[2356](?:%s\d+){3})(?:#[^\r\n]*)?" % (_GAP, _GAP))
_PAM = re.compile(rb"P7\s*\n(?:[^\n]*\n)*?[ \t]*ENDHDR[ \t\r]*\n")
_COMMENT = re.compile(rb"#[ \t]?([^\r\n]*)")
_COMMENT_LINE = re.compile(rb"^[ \t]*#[ \t]?([^\r\n]*)", re.MULTILINE)
_PFM = re.compile(rb"(P[Ff])\s+(\d+)\s+(\d+)\s+([-+]?[0-9.eE+-]+)[ \t\r]*\n")
HEADER_BYTES = 1 << 16  # that are read; comments may be long
_COLOR = (b"P3", b"P6", b"PF")
_PLAIN = (b"P1", b"P2", b"P3")
_TUPLES = {  # of a PAM, by channels; the first is written
    1: (b"GRAYSCALE", b"BLACKANDWHITE", b""),
    2: (b"GRAYSCALE_ALPHA", b"BLACKANDWHITE_ALPHA", b""),
    3: (b"RGB", b""),
    4: (b"RGB_ALPHA", b""),
}


@dataclass(frozen=True)
class Header:
    """Hold a Netpbm header: size in px, channels, and the value of white (a PFM's scale); its pixels start at `end`."""

    magic: bytes
    width: int
    height: int
    peak: float
    end: int
    channels: int = 1

    @property
    def is_float(self) -> bool:
        """Whether it is a PFM."""
        return self.magic in (b"PF", b"Pf")

    @property
    def is_plain(self) -> bool:
        """Whether its samples are written as decimal numbers."""
        return self.magic in _PLAIN

    @property
    def is_pam(self) -> bool:
        """Whether it is a PAM."""
        return self.magic == b"P7"

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W), or (H, W, C) with 2 to 4 channels."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)


def read_header(head: bytes) -> Header | None:
    """Return the header of a PNM but a raw bitmap, of a PAM of gray or RGB, or of a PFM; None for any other file.

    `head` are the file's first bytes.
    """
    if head.startswith(b"P7"):
        return _read_pam_header(head)
    found = _PNM.match(head) or _PFM.match(head) or _PLAIN_BITS.match(head)
    if found is None:
        return None
    channels = 3 if found[1] in _COLOR else 1
    try:
        peak = 1.0 if found.re is _PLAIN_BITS else float(found[4])
        return Header(found[1], int(found[2]), int(found[3]), peak, found.end(), channels)
    except ValueError:
        return None


def comment_of(head: bytes) -> bytes | None:
    """Return the lines of comment in the header of a PNM or PAM, and among the samples of a plain PNM.

    b"" if it has none; None if the header is longer than `head`, which for a plain PNM is the whole file.
    """
    if found := _PAM.match(head):
        return b"\n".join(_COMMENT_LINE.findall(found[0]))
    found = _ANY.match(head)
    if found is None:
        return None
    return b"\n".join(_COMMENT.findall(head if is_plain(head) else found[0]))


def is_plain(head: bytes) -> bool:
    """Return whether the samples of a PNM are written as decimal numbers, among which there may be comments."""
    return head.startswith(_PLAIN)


def decode_pnm(data: bytes) -> NDArray[np.uint16]:
    """Return the samples of a PNM or PAM, (H, W) or (H, W, C), 0 to its highest value; those of a bitmap as light.

    uint8 up to 255, else uint16.

    Raises: MediaError if samples are missing or above the highest value.
    """
    header = read_header(data)
    assert header is not None
    count = math.prod(header.shape)
    samples: NDArray[Any]
    if header.is_plain:
        samples = _plain_samples(data[header.end :], count, is_bitmap=header.magic == b"P1")
    else:
        samples = raw_samples(data, ">u2" if header.peak > 255 else np.uint8, count, header.end)
    if samples.size and samples.max() > header.peak:
        raise MediaError(f"a sample is above the maximum of {header.peak:.0f}")
    return samples.reshape(header.shape).astype(np.uint8 if header.peak <= 255 else np.uint16)


def decode_pfm(data: bytes) -> NDArray[np.float32]:
    """Return the samples of a PFM, (H, W) or (H, W, 3), from the top row down. A negative scale means little-endian.

    Raises: MediaError if samples are missing.
    """
    header = read_header(data)
    assert header is not None
    samples = raw_samples(data, "<f4" if header.peak < 0 else ">f4", math.prod(header.shape), header.end)
    return samples.reshape(header.shape)[::-1].astype(np.float32)


def _plain_samples(text: bytes, count: int, *, is_bitmap: bool) -> NDArray[np.int64]:
    """Return samples that are written as decimal numbers; of a bitmap single digits, 1 for black."""
    written = text.rstrip(b"\0\1")  # with which what is missing is filled, see deep_reader
    filled = text[-1] if len(written) < len(text) else None
    words = re.sub(rb"#[^\r\n]*", b" ", written)
    if re.search(rb"[^\d\s]|\d{10}" if not is_bitmap else rb"[^01\s]", words):
        raise MediaError("a sample is not a number")
    if is_bitmap:
        samples = 1 - (np.frombuffer(b"".join(words.split()), np.uint8).astype(np.int64) - ord("0"))
    else:
        samples = np.fromstring(words.decode("ascii"), np.int64, sep=" ")
    if filled is not None:
        samples = np.append(samples, np.full(max(0, count - len(samples)), filled))
    if len(samples) < count:
        raise MediaError(f"{count - len(samples):,} of {count:,} samples are missing")
    return samples[:count]


def _read_pam_header(head: bytes) -> Header | None:
    found = _PAM.match(head)
    if found is None:
        return None
    fields: dict[bytes, list[bytes]] = {}
    for line in _COMMENT_LINE.sub(b"", found[0]).splitlines()[1:]:
        name, _, value = line.strip().partition(b" ")
        fields.setdefault(name, []).append(value.strip())
    try:
        width, height, channels, peak = (int(fields[name][-1]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError):
        return None
    known = b" ".join(fields.get(b"TUPLTYPE", [])) in _TUPLES.get(channels, ())
    return Header(b"P7", width, height, peak, found.end(), channels) if known and 0 < peak < 65536 else None


def pnm(frame: Frame, bits: int, comments: Iterable[bytes] = ()) -> tuple[bytes, NDArray[Any]]:
    """Return the header, with comments, and samples of a PNM of a GRAY or RGB frame of `bits` bits a sample."""
    magic = b"P5" if frame.space is ColorSpace.GRAY else b"P6"
    header = b"%s\n%s%d %d\n%d\n" % (magic, _lines(comments), frame.width, frame.height, 2**bits - 1)
    return header, frame.planes[0].astype(">u2" if bits > 8 else np.uint8)


def pam(frame: Frame, bits: int, comments: Iterable[bytes] = ()) -> tuple[bytes, NDArray[Any]]:
    """Return the header, with comments, and samples of a PAM of a GRAY or RGB frame of `bits` bits a sample."""
    parts = [frame.planes[0], *([] if frame.alpha is None else [frame.alpha])]
    samples = np.concatenate([part.reshape(frame.height, frame.width, -1) for part in parts], axis=2)
    channels = samples.shape[2]
    sizes = b"WIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\n" % (frame.width, frame.height, channels, 2**bits - 1)
    header = b"P7\n%s%sTUPLTYPE %s\nENDHDR\n" % (_lines(comments), sizes, _TUPLES[channels][0])
    return header, samples.astype(">u2" if bits > 8 else np.uint8)


def _lines(comments: Iterable[bytes]) -> bytes:
    lines = [line for comment in comments for line in re.split(rb"\r\n?|\n", comment)]
    return b"".join(b"# %s\n" % line for line in lines)


def pfm(frame: Frame) -> tuple[bytes, NDArray[Any]]:
    """Return the header and samples of a little-endian PFM of a GRAY or RGB frame of float samples."""
    magic = b"Pf" if frame.space is ColorSpace.GRAY else b"PF"
    return b"%s\n%d %d\n-1.0\n" % (magic, frame.width, frame.height), frame.planes[0][::-1].astype("<f4")
