"""TIFF pages: 8, 16 bits or float, deflated, with their metadata."""

import io
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from esrt_core.media.colour import profile_for
from esrt_core.media.encoder import encoding
from esrt_core.media.formats import TIFF
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.metadata import load_exif
from esrt_core.media.picture import Metadata

_ASCII, _BYTE, _LONG = 2, 1, 4
_CLASSIC_LIMIT = 3_900_000_000  # a classic TIFF addresses 4 GiB
_STRIP_BYTES = 1 << 20
_DIRECTORIES = {34664: ExifTags.IFD.Exif, 34852: ExifTags.IFD.GPSInfo}  # placeholder: tag. tifffile refuses the tags
_TEXT_TAGS = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432)
_XMP_TAG = 700


def write_tiff(frames: Iterable[Frame], file: BinaryIO, metadata: Metadata) -> None:
    """Write frames as the pages of one TIFF; the metadata goes to the first page, profile and dpi to every one."""
    remaining = iter(frames)
    first = next(remaining)
    bigtiff = sum(plane.nbytes for plane in first.all_planes()) > _CLASSIC_LIMIT
    with tifffile.TiffWriter(file, bigtiff=bigtiff, byteorder="<") as writer:
        with encoding(TIFF):
            _write_page(writer, first, metadata, _extra_tags(metadata))
        for frame in remaining:
            with encoding(TIFF):
                _write_page(writer, frame, metadata, [])
    if metadata.exif is not None:
        _append_directories(file, metadata.exif)


def _write_page(writer: tifffile.TiffWriter, frame: Frame, metadata: Metadata, extra_tags: list[Any]) -> None:
    pixels = _interleaved(frame)
    row_bytes = pixels[0].nbytes
    writer.write(
        pixels,
        photometric="minisblack" if frame.space is ColorSpace.GRAY else "rgb",
        planarconfig="contig" if pixels.ndim == 3 else None,
        extrasamples=None if frame.alpha is None else ["unassalpha"],
        compression="zlib",
        predictor=True,
        rowsperstrip=max(1, _STRIP_BYTES // row_bytes),
        resolution=metadata.dpi,
        resolutionunit=None if metadata.dpi is None else "inch",
        iccprofile=profile_for(metadata.icc, frame.space),
        extratags=extra_tags,
        metadata=None,
        software=False,
    )


def _interleaved(frame: Frame) -> NDArray[Any]:
    return frame.planes[0] if frame.alpha is None else np.dstack([frame.planes[0], frame.alpha])


def _extra_tags(metadata: Metadata) -> list[tuple[int, int, int, Any, bool]]:
    tags: list[tuple[int, int, int, Any, bool]] = []
    if metadata.xmp is not None:
        tags.append((_XMP_TAG, _BYTE, len(metadata.xmp), metadata.xmp, True))
    if metadata.exif is not None:
        exif = load_exif(metadata.exif)
        texts = {tag: str(exif[tag]).encode() for tag in _TEXT_TAGS if tag in exif}
        tags += [(tag, _ASCII, len(text) + 1, text + b"\0", True) for tag, text in texts.items()]
        tags += [(placeholder, _LONG, 1, 0, True) for placeholder, tag in _DIRECTORIES.items() if exif.get_ifd(tag)]
    return tags


def _append_directories(file: BinaryIO, exif_data: bytes) -> None:
    """Append the EXIF and GPS directories and point to them: tifffile writes none within a page's tags."""
    exif = load_exif(exif_data)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        tags = tiff.pages.first.tags
        for placeholder, tag in _DIRECTORIES.items():
            if values := exif.get_ifd(tag):
                offset = file.seek(0, io.SEEK_END)
                offset += file.write(b"\0" * (offset % 2))
                file.write(_directory_bytes(values, tag, offset))
                tags[placeholder].overwrite(offset)
                file.seek(tags[placeholder].offset)
                file.write(int(tag).to_bytes(2, "little"))


def _directory_bytes(values: dict[int, Any], group: int, offset: int) -> bytes:
    directory = ImageFileDirectory_v2(b"II*\0\0\0\0\0", group=group)
    for tag, value in values.items():
        directory[tag] = value
    return directory.tobytes(offset)
