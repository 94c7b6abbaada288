"""Probe and decode image files: from an open file to its description, metadata and pages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, FrameError
from esrt_core.media.image import isobmff, pixels
from esrt_core.media.image.animation import Animation, RawFrame, Rgba, compose, parse_apng, parse_gif, to_rgba
from esrt_core.media.image.deep_reader import read_deep
from esrt_core.media.image.formats import (
    AVIF,
    GIF,
    HEIF,
    ICNS,
    ICO,
    JPEG,
    PNG,
    WEBP,
)
from esrt_core.media.image.icc import is_converted_from, profile_for
from esrt_core.media.image.jpeg_quality import quality_of
from esrt_core.media.image.metadata_reader import read_metadata
from esrt_core.media.image.opening import Opened, check_size, opened, reading
from esrt_core.media.image.picture import (
    SHEET,
    ImageInfo,
    Metadata,
    Page,
    Picture,
    ReadLimits,
    Source,
)
from esrt_core.media.image.pixels import (
    Layout,
    as_gray,
    layout_of,
    page_of,
    read_page,
    shown_size,
    without_needless_color,
)
from esrt_core.media.image.premultiplied import matte_of, straightened
from esrt_core.media.image.tiff import (
    has_all_data,
    is_beyond_pillow,
    layout_of_page,
    missing_segments,
    orientation_of,
    page_numbers,
    read_tiff_page,
    unsupported,
    unsupported_compression,
)
from esrt_core.media.image.traits import is_lossless, oddities, plays_of
from esrt_core.media.image.truncated import UNKNOWN, describe_missing, without_end_marker
from esrt_core.system.process import suppress_native_stderr

if TYPE_CHECKING:
    import tifffile  # at run time in functions: it takes longer to import than a small picture to decode

_ANIMATIONS = (GIF, WEBP, PNG, AVIF)
MOST_PIXELS_PER_BYTE = 10_000  # deflate packs 8,256 px of one bit into a byte, the LZW of GIF 2,731 px
_CANVAS = Layout("RGBA", ColorSpace.RGB, 8, True)


@dataclass(frozen=True)
class Description:
    """Hold what is known of an open file before its pixels are decoded.

    `source_icc` is the file's own profile, which CMYK pixels are converted through; `page_numbers` counts from 0.
    """

    info: ImageInfo
    metadata: Metadata
    source_icc: bytes | None
    orientation: int
    page_numbers: tuple[int, ...]
    animation: Animation | None


def probe(source: Source, limits: ReadLimits) -> ImageInfo:
    """Return the description of an image, from its headers.

    Raises: MediaError if it cannot be read or exceeds the limits.
    """
    with opened(source, limits) as opening:
        return describe(opening).info


def decode(source: Source, limits: ReadLimits) -> Picture:
    """Decode an image. A truncated file is decoded as far as possible, with a note, if `limits.allow_truncated`.

    Raises: MediaError if it cannot be read, exceeds the limits, or is truncated and that is not allowed.
    """
    try:
        return _decode(source, replace(limits, allow_truncated=False), limits)
    except MediaError:
        if not limits.allow_truncated:
            raise
    picture = _decode(source, limits, limits)
    return replace(picture, notes=(_how_much_is_missing(source, limits, picture.info), *picture.notes))


def _how_much_is_missing(source: Source, limits: ReadLimits, info: ImageInfo) -> str:
    if info.pages > 1:
        return UNKNOWN
    with opened(source, limits) as opening:
        description = describe(opening)
        return UNKNOWN if description.animation else describe_missing(opening, description.orientation)


def read_pages(source: Source, limits: ReadLimits) -> Iterator[Page]:
    """Decode the pages one by one, composited and oriented.

    Raises: MediaError at the first damaged page.
    """
    with opened(source, limits) as opening:
        description = describe(opening)
        if description.animation is not None:
            yield from _composed_pages(opening, description, description.animation)
            return
        for number in description.page_numbers:
            yield read(opening, description, number)


def describe(opening: Opened) -> Description:
    """Return the description of an open file.

    Raises: MediaError if its headers cannot be read.
    """
    composed = _animation_to_compose(opening)
    numbers, left_out = _page_numbers(opening, composed)
    animated = opening.format in _ANIMATIONS and len(numbers) > 1
    plays = plays_of(opening, composed) if animated else None
    metadata, orientation, damage = read_metadata(opening, plays, numbers[0])
    icc = metadata.icc
    if composed is not None:  # Pillow would make a canvas before anything is checked
        layout = replace(_CANVAS, has_alpha=composed.has_alpha)
    else:
        layout = _layout(opening, numbers[0], icc, animated)
    width, height, orientation = _size(opening, numbers[0], orientation, composed)
    check_size(opening.name, width, height, opening.limits)
    fitting = profile_for(icc, layout.space)
    if icc is not None and fitting is None and not is_converted_from(icc):
        damage = (*damage, f"color profile left out: it does not describe {layout.space.value} pixels")
    info = ImageInfo(
        format=opening.format,
        width=width,
        height=height,
        space=layout.space,
        depth=layout.depth,
        has_alpha=layout.has_alpha,
        pages=len(numbers),
        animated=animated,
        lossless=is_lossless(opening),
        byte_size=opening.byte_size,
        quality=None if opening.image is None else quality_of(opening.image),
        is_sheet=opening.ancillary is not None and SHEET.png_chunks[0] in opening.ancillary.texts,
        notes=(*oddities(opening), *left_out, *damage),
    )
    metadata = replace(metadata, icc=fitting, source_size=(width, height))
    return Description(info, metadata, icc, orientation, tuple(numbers), composed)


def load_late_headers(opening: Opened) -> None:
    """Decode an icon, whose mode is known only after decoding."""
    if opening.format in (ICO, ICNS) and opening.image is not None:
        with opening.decoding():
            opening.image.load()


def read(opening: Opened, description: Description, number: int) -> Page:
    """Decode one page of an open file.

    Raises: MediaError if it is damaged.
    """
    try:
        page = _read(opening, description, number)
        page.frame.check_values()
    except FrameError as error:
        raise opening.damaged(str(error)) from error
    check_size(opening.name, page.frame.width, page.frame.height, opening.limits)
    return page


def _read(opening: Opened, description: Description, number: int) -> Page:
    page = _read_stored(opening, description, number)
    if page.frame.alpha is not None and (matte := matte_of(opening)) is not None:
        page = straightened(page, matte)
    is_gray = opening.format in (AVIF, HEIF) and description.info.space is ColorSpace.GRAY
    return as_gray(page) if is_gray else page


def _read_stored(opening: Opened, description: Description, number: int) -> Page:
    if opening.tiff is not None and description.info.pages > 1:
        return _read_page_of_many(opening, number)
    if opening.tiff is not None:
        return _read_tiff(opening, number, description.source_icc)
    image = opening.image
    assert image is not None
    if opening.deep is not None:
        return read_deep(opening, opening.deep, image, description.orientation)
    if description.info.animated:
        return _read_animation_frame(opening, image, number, description.orientation)
    image, notes = _loaded(opening, image)
    icc = description.source_icc
    page = read_page(image, _layout_of(opening, image, icc), icc, description.orientation)
    return replace(page, notes=(*notes, *page.notes))


def _decode(source: Source, limits: ReadLimits, later: ReadLimits) -> Picture:
    """Decode a still image within `limits`; the pages of a multi-page file are decoded later, within `later`."""
    with opened(source, limits) as opening:
        load_late_headers(opening)
        description = describe(opening)
        info = description.info
        if limits.allow_truncated:
            _check_claim(opening, info.width * info.height, info.byte_size)
        if info.pages > 1:
            return Picture(_LazyPages(source, later, info.pages), info, description.metadata, info.notes)
        if description.animation is not None:
            page = replace(next(_composed_pages(opening, description, description.animation)), duration_ms=None)
        else:
            page = read(opening, description, description.page_numbers[0])
    return Picture((page,), info, description.metadata, (*info.notes, *page.notes))


class _LazyPages:
    """Decode a file's pages one by one, again on each iteration."""

    def __init__(self, source: Source, limits: ReadLimits, count: int) -> None:
        self._source, self._limits, self._count = source, limits, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Page]:
        return read_pages(self._source, self._limits)


def _loaded(opening: Opened, image: ImageFile.ImageFile) -> tuple[ImageFile.ImageFile, tuple[str, ...]]:
    """Return a decoded image, and a note if it is a JPEG that lacks nothing but its end marker."""
    try:
        with opening.decoding():
            image.load()
    except MediaError:
        whole = without_end_marker(opening) if opening.format is JPEG else None
        if whole is None:
            raise
        return whole, ("the end marker of the JPEG is missing, but its pixels are complete",)
    return image, ()


def _read_page_of_many(opening: Opened, number: int) -> Page:
    """Decode a page of a TIFF with several, with its own metadata."""
    metadata, _, damage = read_metadata(opening, None, number)
    page = _read_tiff(opening, number, metadata.icc)
    size = (page.frame.width, page.frame.height)
    own = replace(metadata, icc=profile_for(metadata.icc, page.frame.space), source_size=size)
    return replace(page, metadata=own, notes=(*damage, *page.notes))


def _read_tiff(opening: Opened, number: int, icc: bytes | None) -> Page:
    page = _tiff_page(opening, number)
    check_size(opening.name, int(page.imagewidth), int(page.imagelength), opening.limits)
    if opening.image is None or is_beyond_pillow(page):
        return _read_with_tifffile(opening, page, icc)
    try:
        with opening.decoding(), suppress_native_stderr():
            opening.image.seek(number)
            opening.image.load()  # Pillow orients TIFFs by itself
    except MediaError:
        if not has_all_data(page, opening.byte_size):
            raise
        return _read_with_tifffile(opening, page, icc)  # which knows more compressions
    return read_page(opening.image, _layout_of(opening, opening.image, icc), icc)


def _read_with_tifffile(opening: Opened, page: tifffile.TiffPage, icc: bytes | None) -> Page:
    reason = unsupported_compression(page)
    if reason is None:
        with opening.decoding():
            samples = page.asarray()
        reason = unsupported(page, samples)
    if reason:
        raise MediaError(f"{opening.name}: {reason} cannot be read; convert it first")
    return read_tiff_page(page, samples, icc)


def _read_animation_frame(opening: Opened, image: ImageFile.ImageFile, number: int, orientation: int) -> Page:
    with opening.decoding():
        image.seek(number)
        image.load()
    page = without_needless_color(read_page(image, _CANVAS, None, orientation))
    return replace(page, duration_ms=float(image.info.get("duration") or 0))


def _tiff_page(opening: Opened, number: int) -> tifffile.TiffPage:
    """Return a page of a TIFF. Raises MediaError if strips or tiles are missing: a few bytes can claim millions."""
    page = opening.tiff_page(number)
    with opening.decoding():
        _ = page.chunked  # tifffile computes it here once, and raises if strips have no rows
    if missing := missing_segments(page):
        if not opening.limits.allow_truncated:
            raise opening.damaged(f"{missing:,} strips or tiles are missing")
        _check_claim(opening, int(page.imagewidth) * int(page.imagelength), opening.byte_size)
    return page


def _check_claim(opening: Opened, count: int, byte_size: int) -> None:
    """Check that damaged or compressed data can hold this number of px, before time and memory are spent on them.

    Raises: MediaError if they cannot.
    """
    if count > MOST_PIXELS_PER_BYTE * byte_size:
        raise opening.damaged(f"{byte_size:,} bytes cannot hold {count:,} px")


def _animation_to_compose(opening: Opened) -> Animation | None:
    """Return the frames of an APNG or GIF; None for other files and for a still image that Pillow reads as it is."""
    if opening.format is GIF:
        with reading(opening.name):
            animation = parse_gif(opening.file)
        still = animation is not None and len(animation.frames) == 1 and animation.covers(animation.frames[0])
        return None if still else animation
    if opening.format is PNG:
        with reading(opening.name):
            animation = parse_apng(opening.file)
        if animation is None or animation.default_left_out:
            return animation
        count = len(animation.frames) + (0 if animation.is_whole else animation.missing)
        return None if count == 1 else animation
    return None


def _composed_pages(opening: Opened, description: Description, animation: Animation) -> Iterator[Page]:
    def decoded(data: bytes, frame: RawFrame) -> Rgba:
        check_size(opening.name, frame.width, frame.height, opening.limits)
        _check_claim(opening, frame.width * frame.height, len(data))
        with opening.decoding():
            image = Image.open(io.BytesIO(data), formats=["PNG", "GIF"])
            image.load()
        return to_rgba(image, data, frame)

    _check_claim(opening, animation.width * animation.height, opening.byte_size)
    height_width = (description.info.height, description.info.width)
    for frame, canvas in zip(animation.frames, compose(animation, opening.file, decoded), strict=True):
        shown = np.empty((*height_width, 4), np.uint8)
        pixels.stored_view(shown, description.orientation)[...] = canvas
        color, alpha = np.ascontiguousarray(shown[..., :3]), np.ascontiguousarray(shown[..., 3])
        yield replace(without_needless_color(page_of(color, alpha, 8)), duration_ms=frame.duration_ms)


def _page_numbers(opening: Opened, composed: Animation | None) -> tuple[list[int], tuple[str, ...]]:
    if opening.tiff is not None:
        with opening.decoding():
            pages = [page.aspage() for page in opening.tiff.pages]
        for page in pages:
            opening.check_page(page)
        return page_numbers(pages)
    if composed is not None:
        if composed.missing and not composed.is_whole and not opening.limits.allow_truncated:
            raise opening.damaged(f"{composed.missing:,} frames are missing")
        return list(range(len(composed.frames))), _oddities_of(composed, opening)
    if opening.format not in (WEBP, AVIF):
        return [0], ()
    with opening.decoding():
        count = getattr(opening.image, "n_frames", 1)
    return list(range(count)), ()


def _oddities_of(composed: Animation, opening: Opened) -> tuple[str, ...]:
    notes = []
    if composed.default_left_out:
        notes.append("the default image, for viewers without animation, is left out")
    if composed.missing and composed.is_whole:
        notes.append(f"{composed.missing:,} frames are announced but not in the file")
    if opening.deep is not None:
        notes.append(f"{opening.deep.bits} bits reduced to 8")
    return tuple(notes)


def _size(opening: Opened, first: int, orientation: int, composed: Animation | None) -> tuple[int, int, int]:
    """Return the oriented width and height in px, and the orientation; that of a TIFF is its page's."""
    if composed is not None:
        return (*shown_size(composed.width, composed.height, orientation), orientation)
    if opening.tiff is None:
        assert opening.image is not None
        return (*shown_size(*opening.image.size, orientation), orientation)
    page = _tiff_page(opening, first)
    orientation = orientation_of(page)
    return (*shown_size(int(page.imagewidth), int(page.imagelength), orientation), orientation)


def _layout(opening: Opened, first: int, icc: bytes | None, animated: bool) -> Layout:
    image = opening.image
    if opening.tiff is not None:
        page = opening.tiff_page(first)
        if image is None or is_beyond_pillow(page):
            return layout_of_page(page)
    assert image is not None
    with opening.decoding():
        if opening.tiff is not None:
            image.seek(first)
        if image.mode in ("P", "PA"):
            image.load()  # before that Pillow has no palette
    layout = _layout_of(opening, image, icc)
    if opening.format in (AVIF, HEIF) and isobmff.is_gray(opening.read_at, opening.byte_size):
        layout = replace(layout, space=ColorSpace.GRAY)  # with alpha, decoders give RGBA
    if animated:
        return replace(layout, mode="RGBA", space=ColorSpace.RGB, depth=8)
    if opening.deep is None:
        return layout
    if channels := opening.deep.channels:
        space = ColorSpace.RGB if channels > 2 else ColorSpace.GRAY
        layout = replace(layout, space=space, has_alpha=channels in (2, 4))
    bits, has_alpha = opening.deep.bits, layout.has_alpha or image.has_transparency_data  # a PNG's transparent color
    return replace(layout, depth=bits if bits in (8, 32) else 16, has_alpha=has_alpha)


def _layout_of(opening: Opened, image: ImageFile.ImageFile, icc: bytes | None) -> Layout:
    with opening.decoding():  # Pillow may lack a palette that it says it has
        if image.mode in ("P", "PA"):
            image.getpalette("RGB")
            if image.palette is None:
                raise ValueError("it has no palette")
    return layout_of(image, icc)
