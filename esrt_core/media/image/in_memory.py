"""Pillow images in memory: their pixels with what they carry, read from their files where that is possible.

Pillow's `info` has no place for most of what a file carries, and gives some of it only in part. So the file behind an
image is read as the command reads it, unless the program has changed `info` since: then `info` counts.
"""

import io
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from esrt_core.errors import MediaError
from esrt_core.media.frame import Frame, Plane
from esrt_core.media.image import exif, photoshop, png, tiff_tags, xmp
from esrt_core.media.image.icc import profile_for
from esrt_core.media.image.metadata import for_size
from esrt_core.media.image.metadata_reader import read_metadata
from esrt_core.media.image.opening import Opened, decoding, opened
from esrt_core.media.image.picture import Metadata, Page, ReadLimits, RemoteFile, Source, Unit, resolution_of
from esrt_core.media.image.pixels import UPRIGHT, Samples, layout_of, read_page, restore, shown_size
from esrt_core.media.image.premultiplied import matte_of, straightened

CARRIED = "esrt_metadata"  # the key of `info` under which an enlarged image has what no other key holds
_EXIF_PREFIX = b"Exif\0\0"
_TOLD = ("exif", "xmp", "XML:com.adobe.xmp", "icc_profile", "dpi", "comment")
_OWN_INFO = ("PNG", "JPEG2000")  # of which `opened` changes the info


@dataclass(frozen=True)
class PillowPicture:
    """Hold a Pillow image's upright page, and the metadata that its larger copy keeps."""

    page: Page
    metadata: Metadata

    @property
    def frame(self) -> Frame:
        """The pixels."""
        return self.page.frame


@dataclass(frozen=True)
class _Stored:
    """Hold what the file of an image says: metadata for the upright picture, its orientation, the matte of colors."""

    metadata: Metadata
    turn: int
    matte: float | None


def frame_of_image(image: Image.Image) -> PillowPicture:
    """Return the current frame of an image in any Pillow mode, turned upright as its EXIF orientation says.

    Raises: MediaError if the image is empty or its data is damaged.
    """
    if 0 in image.size:
        raise MediaError(f"an image of {image.width} x {image.height} px has no pixels")
    stored = _stored(image)  # before the pixels are decoded, after which Pillow closes the file
    page, metadata = _read_alone(image) if stored is None else _read_with(image, stored)
    is_converted = image.mode in ("CMYK", "LAB")  # its pixels are sRGB now
    icc = None if is_converted else profile_for(metadata.icc, page.frame.space)
    return PillowPicture(page, replace(metadata, icc=icc))


def image_of_frame(frame: Frame, like: PillowPicture) -> Image.Image:
    """Return a frame as an image of mode L, LA, RGB, RGBA, I;16 or F, with the metadata of its source `like`.

    `info` has what `Image.save` takes by the same names: exif, xmp, icc_profile and dpi; and, if there is XMP or IPTC,
    tiffinfo, pnginfo and extra, with which alone it reaches TIFF, PNG and, as for IPTC, JPEG. What else there is is
    under CARRIED.
    """
    pixels = array_of_frame(frame, dimensions=2)
    if like.page.value_range is not None:
        pixels = restore(pixels, like.page.value_range)
    image = Image.fromarray(pixels)
    metadata, _ = for_size(like.metadata, frame.width, frame.height)
    kept = _arguments(metadata) | _further_arguments(metadata)
    image.info.update({name: value for name, value in kept.items() if value is not None})
    if _has_more(metadata):
        image.info[CARRIED] = replace(metadata, source_size=(frame.width, frame.height))
    return image


def array_of_frame(frame: Frame, dimensions: int = 3) -> Samples:
    """Return a frame's pixels as (H, W, C), or as (H, W) if it is gray without alpha and `dimensions` is 2."""
    color: Plane = frame.planes[0]
    if color.ndim == 2 and (dimensions == 3 or frame.alpha is not None):
        color = color[..., None]
    return color if frame.alpha is None else np.concatenate([color, frame.alpha[..., None]], axis=2)


def _read_with(image: Image.Image, stored: _Stored) -> tuple[Page, Metadata]:
    """Return an image's pixels, and what its file says."""
    _load(image)
    turn = _orientation(image) if image.format == "TIFF" else stored.turn
    page = read_page(image, layout_of(image, stored.metadata.icc), stored.metadata.icc, turn)
    if stored.matte is not None:
        page = straightened(page, stored.matte)
    return page, replace(stored.metadata, source_size=(page.frame.width, page.frame.height))


def _read_alone(image: Image.Image) -> tuple[Page, Metadata]:
    """Return an image's pixels, and what Pillow knows of it."""
    is_tiff = image.format == "TIFF"
    info = _info_of_page(image) if is_tiff else image.info
    icc = info.get("icc_profile")
    turn_of_tiff = _orientation(image) if is_tiff else UPRIGHT
    block = _exif_of_tiff(image) if is_tiff else None
    _load(image)
    turn = _orientation(image)
    page = read_page(image, layout_of(image, icc), icc, turn)
    block = image.info.get("exif") or block
    turn = turn if turn != UPRIGHT else turn_of_tiff
    metadata = _metadata_of(info, block if isinstance(block, bytes) else None, page.frame, turn)
    return page, replace(metadata, icc=icc, photoshop=_upright_photoshop(image, page, turn))


def _upright_photoshop(image: Image.Image, page: Page, turn: int) -> bytes | None:
    kept, _ = photoshop.without_places(_photoshop_of(image))
    return photoshop.upright(kept, turn, *shown_size(page.frame.width, page.frame.height, turn))


def _load(image: Image.Image) -> None:
    with decoding("the image", ReadLimits(max_pixels=image.width * image.height)):
        image.load()  # Pillow turns a TIFF here, and finds the EXIF behind a PNG's pixels


def _stored(image: Image.Image) -> _Stored | None:
    """Return what the file of an image says, or what an enlarged image carries; None if neither is known."""
    own = image.info.get(CARRIED)
    if isinstance(own, Metadata):
        unchanged = all(image.info.get(key) == value for key, value in _arguments(own).items())
        return _Stored(own, UPRIGHT, None) if unchanged and own.source_size == image.size else None
    source = _source_of(image)
    if source is None:
        return None
    try:
        with opened(source, ReadLimits(max_pixels=image.width * image.height)) as opening:
            if not _is_unchanged(image, opening):
                return None
            metadata, turn, _ = read_metadata(opening, None, image.tell())
            return _Stored(metadata, turn, matte_of(opening))
    except MediaError:  # what the image itself tells is left
        return None


def _source_of(image: Image.Image) -> Source | None:
    """Return the file of an image that is still open, else the one that it was opened from by name."""
    file, name = getattr(image, "fp", None), str(getattr(image, "filename", "") or "")
    if file is None:
        return Path(name) if Path(name).is_file() else None
    try:
        at = file.tell()
        file.seek(0)
        data: bytes = file.read()
        file.seek(at)
    except (OSError, ValueError):  # closed, or not seekable
        return None
    return RemoteFile(name or f"image.{image.format}", lambda: io.BytesIO(data))  # a TGA is known by its extension


def _is_unchanged(image: Image.Image, opening: Opened) -> bool:
    """Return whether an image is what its file holds, and its `info` is as Pillow reads it from there."""
    fresh: Image.Image | None = opening.image
    with decoding("the image", opening.limits):
        if image.format in _OWN_INFO:
            fresh = Image.open(opening.file)
        if fresh is None or fresh.format != image.format:
            return False
        if image.tell() != fresh.tell():
            fresh.seek(image.tell())
        if fresh.format == "PNG" and _told(fresh) != _told(image):
            fresh.load()  # finds what stands behind the pixels
    return fresh.size == image.size and _told(fresh) == _told(image)


def _told(image: Image.Image) -> dict[str, Any]:
    info = _info_of_page(image) if image.format == "TIFF" else image.info
    return {key: info.get(key) for key in _TOLD}


def _arguments(metadata: Metadata) -> dict[str, Any]:
    """Return what `Image.save` of most formats takes by the same names."""
    return {
        "exif": None if metadata.exif is None else _EXIF_PREFIX + metadata.exif,
        "xmp": metadata.xmp,
        "icc_profile": metadata.icc,
        "dpi": metadata.dpi,
    }


def _has_more(metadata: Metadata) -> bool:
    """Return whether metadata hold more than what _arguments() returns."""
    resolution = metadata.resolution
    told = replace(metadata, exif=None, xmp=None, icc=None)
    if resolution is not None and resolution.unit is Unit.INCH:
        told = replace(told, resolution=None)
    return told != Metadata()


def _orientation(image: Image.Image) -> int:
    """Return the orientation that the pixels in memory still have; EXIF and XMP may state one that does not count."""
    if image.format == "JXL" and not getattr(image, "jpeg", None):  # turned by its decoder
        return UPRIGHT
    if image.format == "AVIF" and "exif" not in image.info:  # Pillow puts the orientation of the file there
        return UPRIGHT
    with decoding("the image", ReadLimits()):
        stated = image.getexif().get(exif.ORIENTATION)
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else UPRIGHT


def _exif_of_tiff(image: Image.Image) -> bytes | None:
    """Return the EXIF that Pillow makes of a TIFF's tags, which it can do in full only before it decodes the pixels."""
    try:
        with decoding("the image", ReadLimits()):
            block = image.getexif().tobytes()
        return exif.build(tiff_tags.described(exif.directories(block.removeprefix(_EXIF_PREFIX))))
    except MediaError:
        return None


def _info_of_page(image: Image.Image) -> dict[Any, Any]:
    """Return what Pillow knows of a page of a TIFF, without what it still has of an earlier page."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    stale = set() if tiff_tags.ICC in tags else {"icc_profile"}
    if tiff_tags.X_RESOLUTION not in tags or tags.get(tiff_tags.RESOLUTION_UNIT) == 1:
        stale.add("dpi")
    return {key: value for key, value in image.info.items() if key not in stale}


def _photoshop_of(image: Image.Image) -> bytes | None:
    """Return the image resources of Photoshop, which hold IPTC, of a TIFF or JPEG."""
    held: dict[int, Any] = getattr(image, "tag_v2", {})
    with decoding("the image", ReadLimits()):
        resources, iptc = (held.get(tag) for tag in (tiff_tags.PHOTOSHOP, tiff_tags.IPTC))
    resources = resources[0] if isinstance(resources, tuple) else resources  # as Pillow gives the type UNDEFINED
    if not isinstance(iptc, bytes):  # stored as numbers, of which Pillow gives the first alone
        iptc = None
    if isinstance(resources, bytes) or iptc is not None:
        return tiff_tags.photoshop_of(resources if isinstance(resources, bytes) else b"", iptc)
    segments = [data for name, data in getattr(image, "applist", ()) if name == "APP13"]
    start = photoshop.SEGMENT
    return b"".join(data.removeprefix(start) for data in segments if data.startswith(start)) or None


def _metadata_of(info: dict[Any, Any], block: bytes | None, upright: Frame, turn: int) -> Metadata:
    """Return EXIF, XMP and resolution as they are for the upright picture; damaged EXIF is left out."""
    stored = shown_size(upright.width, upright.height, turn)
    try:
        block = None if block is None else exif.upright(block.removeprefix(_EXIF_PREFIX), turn, *stored)
    except MediaError:
        block = None
    packet = info.get("xmp")
    packet = packet.encode() if isinstance(packet, str) else packet
    x, y = info.get("dpi") or (math.nan, math.nan)
    x, y = (float(y), float(x)) if turn >= 5 else (float(x), float(y))
    return Metadata(
        exif=block,
        xmp=xmp.upright(packet, turn, *stored) if isinstance(packet, bytes) else None,
        resolution=resolution_of(x, y, Unit.INCH),
        source_size=(upright.width, upright.height),
    )


def _further_arguments(metadata: Metadata) -> dict[str, Any]:
    """Return XMP and IPTC in the form in which the writers of TIFF, PNG and JPEG take them."""
    if metadata.xmp is None and metadata.photoshop is None:
        return {}
    tags, chunks, segments = Image.Exif(), PngImagePlugin.PngInfo(), b""
    tags.load(_EXIF_PREFIX + (metadata.exif or exif.build(exif.Directories("little", {}, {}, {}))))
    if metadata.xmp is not None:
        tags[tiff_tags.XMP] = metadata.xmp
        chunks.add(*png.xmp_chunk(xmp.text(metadata.xmp)))
    if metadata.photoshop is not None:
        tags[tiff_tags.PHOTOSHOP] = metadata.photoshop
        iptc = photoshop.iptc_of(metadata.photoshop)
        if iptc is not None:
            tags[tiff_tags.IPTC] = iptc
        chunks.add(*png.raw_profile_chunk("iptc", metadata.photoshop))
        parts = photoshop.segments(metadata.photoshop)
        segments = b"".join(b"\xff\xed" + (len(part) + 2).to_bytes(2, "big") + part for part in parts)
    return {"tiffinfo": tags, "pnginfo": chunks, "extra": segments or None}
