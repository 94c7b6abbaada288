"""Write still images that Pillow writes with 8 bits only: with imagecodecs, and with headers of ours.

PNG of 16 bits, JPEG XL of 16 and of floats, HEIC of 10 and 12, and AVIF, JPEG 2000, PNM, PAM, PFM and SGI of every
depth.
"""

import importlib
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import isobmff, jp2, jxl, netpbm, photoshop, sgi
from esrt_core.media.image.cicp import SRGB, UNSPECIFIED, matrix_for
from esrt_core.media.image.formats import AVIF, HEIF, JPEG2000, JXL, PAM, PFM, PNG, PPM, SGI, Format, encoding
from esrt_core.media.image.metadata import png_chunks, save_parameters
from esrt_core.media.image.picture import EncodeOptions, Metadata, Unit

PNG_LEVEL = 3  # on upscaled photos 5 % larger than level 6, in a third of the time
AVIF_SPEED = 8  # half the time of speed 6
_IHDR_END = 33  # behind the signature and IHDR
_ALL_THREADS = 0

Writer = Callable[[Frame, BinaryIO, Metadata, EncodeOptions], None]


def writer_for(frame: Frame, target: Format) -> Writer | None:
    """Return what writes a frame that fits the format (see encode.fit); None if Pillow does."""
    if target in _DEEP_WRITERS and frame.depth > 8:
        return _DEEP_WRITERS[target]
    return _WRITERS.get(target)


def behind_header(file: BinaryIO, target: Format, metadata: Metadata) -> Any:
    """Return a file that gets a PNG's metadata as Pillow writes it."""
    return _AfterHeader(file, png_chunks(metadata)) if target is PNG else file


class _AfterHeader:
    """Write a PNG file with chunks of ours behind its header."""

    def __init__(self, file: BinaryIO, chunks: bytes) -> None:
        self._file, self._chunks, self._left = file, chunks, _IHDR_END

    def write(self, data: bytes) -> int:
        """Write the next bytes, and the chunks where the header ends."""
        if not self._left:
            return self._file.write(data)
        head = bytes(data[: self._left])
        self._file.write(head)
        self._left -= len(head)
        if not self._left:
            self._file.write(self._chunks)
            self._file.write(data[len(head) :])
        return len(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()


def _write_deep_png(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    """Write 16 bits with imagecodecs, as Pillow cannot."""
    import imagecodecs  # here: it takes longer to import than a small picture to encode

    pixels = _interleaved(frame)
    with encoding(PNG):
        encoded = memoryview(imagecodecs.png_encode(pixels, level=PNG_LEVEL))
    file.write(encoded[:_IHDR_END])
    file.write(png_chunks(metadata))
    file.write(encoded[_IHDR_END:])


def _write_avif(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    """Write an AVIF whose bitstream and container describe the same color; a profile stands for unspecified color."""
    import imagecodecs

    color = UNSPECIFIED if metadata.icc is not None else metadata.color or SRGB
    pixels, matrix = _interleaved(frame), matrix_for(color)
    with encoding(AVIF):
        encoded = imagecodecs.avif_encode(
            pixels,
            level=min(options.quality or AVIF.default_quality or 0, 99),  # 100 means lossless there, ten times as large
            speed=AVIF_SPEED,
            bitspersample=frame.depth,
            pixelformat="400" if frame.space is ColorSpace.GRAY else "444",
            primaries=color.primaries,
            transfer=color.transfer,
            matrix=matrix,
            numthreads=_ALL_THREADS,
        )
    file.write(isobmff.with_metadata(bytes(encoded), metadata.exif, metadata.xmp, metadata.icc))


def _write_jpeg2000(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    import imagecodecs

    pixels = _interleaved(frame)
    with encoding(JPEG2000):
        codestream = imagecodecs.jpeg2k_encode(
            pixels,
            level=0,
            reversible=True,
            codecformat="j2k",
            bitspersample=frame.depth,
            numthreads=_ALL_THREADS,
        )
    dpi = metadata.resolution.per(Unit.INCH) if metadata.resolution is not None else None
    is_gray, has_alpha = frame.space is ColorSpace.GRAY, frame.alpha is not None
    shape = jp2.Shape(frame.width, frame.height, frame.depth, is_gray, has_alpha)
    iptc = None if metadata.photoshop is None else photoshop.iptc_of(metadata.photoshop)
    xml = tuple(content for _, content in metadata.jp2_boxes)
    carried = jp2.Carried(metadata.icc, metadata.exif, metadata.xmp, dpi, iptc=iptc, xml=xml)
    for part in jp2.boxes(shape, carried):
        file.write(part)
    if metadata.comments:
        codestream = jp2.with_comments(bytes(codestream), metadata.comments)
    file.write((len(codestream) + 8).to_bytes(4, "big") + b"jp2c" if len(codestream) < 1 << 31 else b"\0\0\0\0jp2c")
    file.write(codestream)


def _write_deep_heif(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    """Write more than 8 bits with pillow-heif, whose plugin for Pillow writes 8."""
    parameters = save_parameters(metadata, HEIF)
    pixels = _interleaved(frame) << 16 - frame.depth
    mode = ("L" if frame.space is ColorSpace.GRAY else "RGB") + ("" if frame.alpha is None else "A") + ";16"
    lossless = bool(options.lossless) and options.quality is None
    quality = -1 if lossless else options.quality or HEIF.default_quality
    whole = io.BytesIO()
    with encoding(HEIF):
        pillow_heif = importlib.import_module("pillow_heif")
        size = (frame.width, frame.height)
        data = pixels.tobytes()
        pillow_heif.encode(mode, size, data, whole, quality=quality, chroma=444, bit_depth=frame.depth, **parameters)
    file.write(whole.getbuffer())


def _write_deep_jxl(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    """Write 16 bits or floats with imagecodecs, which takes them as linear; pillow-jxl writes 8.

    Floats are written without loss.
    """
    import imagecodecs

    is_exact = options.lossless or frame.depth == 32
    quality = options.quality or (100 if is_exact else JXL.default_quality or 0)
    lossless = quality == 100
    with encoding(JXL):
        encoded = imagecodecs.jpegxl_encode(
            _interleaved(frame if lossless else _linear(frame)),
            lossless=lossless,
            distance=None if lossless else _jxl_distance(quality),
            usecontainer=True,
            numthreads=_ALL_THREADS,
        )
    file.write(jxl.with_metadata(jxl.as_srgb(bytes(encoded)), metadata.exif, metadata.xmp))


def _linear(frame: Frame) -> Frame:
    """Return a frame of 16 bits with the light of its sRGB samples (IEC 61966-2-1)."""
    value = np.linspace(0, 1, 1 << 16)
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return replace(frame, planes=(np.rint(light * 65535).astype(np.uint16)[frame.planes[0]],))


def _jxl_distance(quality: int) -> float:
    """Return libjxl's distance for a quality below 100, as JxlEncoderDistanceFromQuality does."""
    return 0.1 + (100 - quality) * 0.09 if quality >= 30 else 53 / 3000 * quality**2 - 23 / 20 * quality + 25


def _write_pnm(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    _write_raw(file, *netpbm.pnm(frame, frame.depth, metadata.comments))


def _write_pam(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    _write_raw(file, *netpbm.pam(frame, frame.depth, metadata.comments))


def _write_pfm(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    _write_raw(file, *netpbm.pfm(frame))


def _write_sgi(frame: Frame, file: BinaryIO, metadata: Metadata, options: EncodeOptions) -> None:
    _write_raw(file, *sgi.sgi(frame))


def _write_raw(file: BinaryIO, header: bytes, samples: NDArray[Any]) -> None:
    file.write(header)
    file.write(np.ascontiguousarray(samples).data)


def _interleaved(frame: Frame) -> NDArray[Any]:
    color = frame.planes[0]
    return np.ascontiguousarray(color if frame.alpha is None else np.dstack([color, frame.alpha]))


_DEEP_WRITERS: dict[Format, Writer] = {PNG: _write_deep_png, HEIF: _write_deep_heif, JXL: _write_deep_jxl}
_WRITERS: dict[Format, Writer] = {
    AVIF: _write_avif,
    JPEG2000: _write_jpeg2000,
    PPM: _write_pnm,
    PAM: _write_pam,
    PFM: _write_pfm,
    SGI: _write_sgi,
}
