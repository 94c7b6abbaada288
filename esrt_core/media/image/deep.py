"""Find files whose samples Pillow reduces to 8 bits, refuses or misreads, and the decoders that read them.

Pillow opens these files too, for their size and metadata. What it refuses for the header, it gets with another one
(`Deep.patch`).
"""

import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.image import bmp, isobmff, jp2, jpeg, jxl, netpbm, png, psd, psd_pixels, sgi

MOST_PIXEL_BYTES = 16  # four channels of float samples
ReadAt = Callable[[int, int], bytes]  # offset, length
_MODES = ("1", "L", "LA", "La", "RGB", "RGBA", "RGBa", "I;16", "I;16B", "I", "F")
_CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000: SOC, SIZ


@dataclass(frozen=True)
class Deep:
    """Describe the samples of a file and how they are decoded.

    `bits` is 8 to 16, or 32 for float; `peak` the value of white; `decode` returns (H, W) or (H, W, C) from a file's
    bytes, and raises MediaError with the reason if it is `ours`; `patch` is (offset, bytes) of what Pillow must find
    in the header instead, or None; `channels` are those of a sample (1 gray, 2 with alpha, 3 RGB, 4 with alpha), or
    None if Pillow knows.
    """

    bits: int
    peak: float
    decode: Callable[[bytes], NDArray[Any]]
    patch: tuple[int, bytes] | None = None
    channels: int | None = None
    ours: bool = True

    def fits(self, mode: str) -> bool:
        """Return whether pixels of a Pillow mode are decoded this way."""
        return mode in _MODES


def find_deep(head: bytes, read_at: ReadAt, byte_size: int) -> Deep | None:
    """Return how the samples of a file are decoded, from its headers; None if Pillow does it."""
    if head.startswith(png.SIGNATURE):
        bits, channels = png.samples_of(head) if len(head) > 25 else (8, None)
        return _of_bits(bits, _library("png_decode"), channels)
    if head.startswith(jpeg.START):
        return _jpeg(read_at)
    if head.startswith((jp2.SIGNATURE, _CODESTREAM)):
        return _jpeg2000(head, read_at, byte_size)
    if head[4:8] == b"ftyp":
        bits = isobmff.bits_of(read_at, byte_size)
        if b"avif" in head[8:64]:
            return _of_bits(bits, _library("avif_decode"))
        peak = 2**bits - 1 << 16 - bits if 8 < bits <= 16 else 0
        return Deep(bits, peak, _decode_heif, ours=False) if peak else None
    if head.startswith((jxl.START, jxl.CONTAINER)):
        return _jpeg_xl(read_at, byte_size)
    if header := netpbm.read_header(read_at(0, netpbm.HEADER_BYTES) if head.startswith(b"P") else head):
        return _netpbm(header)
    if fields := bmp.fields_of(head):
        patch = (bmp.COMPRESSION_AT, bytes(4))  # as if the usual bits
        return Deep(fields.bits, 255 if fields.bits == 8 else 65535, bmp.decode, patch, len(fields.masks))
    if sgi.bits_of(head) == 16:
        return Deep(16, 65535, sgi.decode_16)
    if layered := psd.read_header(head, read_at):
        return _photoshop(layered)
    return None


def patched(file: BinaryIO, deep: Deep | None) -> BinaryIO:
    """Return the file as Pillow gets it."""
    return file if deep is None else with_bytes(file, deep.patch)


def with_bytes(file: BinaryIO, patch: tuple[int, bytes] | None) -> BinaryIO:
    """Return a view of a file with other bytes at an offset."""
    return file if patch is None else io.BufferedReader(_Patched(file, *patch))


def _library(name: str) -> Callable[[bytes], NDArray[Any]]:
    """Return a decoder of imagecodecs, which takes longer to import than a small picture to decode."""

    def decode(data: bytes) -> NDArray[Any]:
        import imagecodecs

        samples: NDArray[Any] = getattr(imagecodecs, name)(data)
        return samples

    return decode


def _of_bits(bits: int, decode: Callable[[bytes], NDArray[Any]], channels: int | None = None) -> Deep | None:
    return Deep(bits, 2**bits - 1, decode, channels=channels, ours=False) if 8 < bits <= 16 else None


def _jpeg(read_at: ReadAt) -> Deep | None:
    frame = jpeg.find_frame(read_at)
    if frame is None or not 8 < frame.bits <= 16:
        return None
    return Deep(frame.bits, 2**frame.bits - 1, _library("jpeg8_decode"), (frame.at, b"\x08"), ours=False)


def _jpeg2000(head: bytes, read_at: ReadAt, byte_size: int) -> Deep | None:
    at = 0 if head.startswith(_CODESTREAM) else jp2.codestream_at(read_at, byte_size)
    if at is None or (at and jp2.read(read_at, byte_size).color_space == jp2.SYCC):  # Pillow converts it to RGB
        return None
    codestream = read_at(at, 64)
    if not codestream.startswith(_CODESTREAM) or len(codestream) < 43:
        return None
    return _of_bits((codestream[42] & 0x7F) + 1, _library("jpeg2k_decode"))  # Ssiz, ISO 15444-1 A.5.1


def _jpeg_xl(read_at: ReadAt, byte_size: int) -> Deep | None:
    header = jxl.read_header(read_at, byte_size)
    if header is None or header.extra not in ((), (jxl.ALPHA,)):
        return None
    return Deep(32, 1.0, _decode_jxl, ours=False) if header.is_float else _of_bits(header.bits, _decode_jxl)


def _decode_jxl(data: bytes) -> NDArray[Any]:
    """Return the samples of the first frame; those of 16-bit floats in 32."""
    import imagecodecs

    samples: NDArray[Any] = imagecodecs.jpegxl_decode(data, index=0)
    return samples.astype(np.float32) if samples.dtype.kind == "f" else samples


def _netpbm(header: netpbm.Header) -> Deep | None:
    if header.is_float:
        return Deep(32, 1.0, netpbm.decode_pfm, (0, b"Pf"), header.channels)
    if not 0 < header.peak < 65536:
        return None
    bits = max(8, int(header.peak).bit_length())
    if header.is_pam:
        as_pgm = b"P5 %d %d 255\n" % (header.width, header.height)  # shorter than the header of any PAM
        return Deep(bits, header.peak, netpbm.decode_pnm, (0, as_pgm), header.channels)
    return Deep(bits, header.peak, netpbm.decode_pnm) if bits > 8 or header.is_plain else None


def _photoshop(header: psd.Header) -> Deep | None:
    if header.is_read_by_pillow:
        return None
    is_deep = header.bits == 16 and header.mode not in psd.CONVERTED
    bits, peak = (16, 65535) if is_deep else (8, 1 if header.bits == 1 else 255)
    return Deep(bits, peak, psd_pixels.decode, header.as_read, header.channels)


def _decode_heif(data: bytes) -> NDArray[Any]:
    """Return samples whose upper bits are those of the file."""
    pillow_heif = importlib.import_module("pillow_heif")
    return np.asarray(pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False))


class _Patched(io.RawIOBase):
    """Read a file with other bytes at one place."""

    def __init__(self, file: BinaryIO, at: int, data: bytes) -> None:
        self._file, self._start, self._data, self._at = file, at, data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = self._at if whence == io.SEEK_CUR else 0
        self._at = self._file.seek(offset, whence) if whence == io.SEEK_END else max(0, base + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._at)
        data = bytearray(self._file.read(len(buffer)))
        for index, value in enumerate(self._data, self._start - self._at):
            if 0 <= index < len(data):
                data[index] = value
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
