"""Encode pages as a file of any writable format: adapt frames to what the format can hold and note what is lost."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from esrt_core.errors import OptionError
from esrt_core.media.alpha import composite
from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.media.image.animation_writer import write_animation
from esrt_core.media.image.codec_writer import writer_for
from esrt_core.media.image.color import to_srgb
from esrt_core.media.image.formats import AVIF, GIF, TIFF, Format, check_fits, format_named, writable_names
from esrt_core.media.image.icc import to_srgb as converter_to_srgb
from esrt_core.media.image.metadata import embeddable, for_size, stripped, with_dpi
from esrt_core.media.image.opening import load_extra
from esrt_core.media.image.picture import EncodeOptions, ImageInfo, Metadata, Page
from esrt_core.media.image.pillow_writer import to_pillow, write_still
from esrt_core.media.image.pixels import restore
from esrt_core.media.image.tiff import write_tiff
from esrt_core.media.resize import with_depth


def encode(
    pages: Iterable[Page], target: Path | BinaryIO, format: str, metadata: Metadata, options: EncodeOptions
) -> tuple[str, ...]:
    """Write pages as one file and return notes on what was lost or changed.

    pages    all pages of a TIFF, or all frames of an animation (they have a duration); of other formats only the first
             is taken from the iterable.
    target   a path, which is overwritten, or a binary file, seekable or not.
    format   the name of a writable format.

    Raises: OptionError if the format is not writable; MediaError if the encoder refuses the image; OSError if the file
    cannot be written (atomic_write turns it into a TargetError).
    """
    entry = format_named(format)
    if entry is None or not entry.writable:
        raise OptionError(f"--format {format} cannot be written; choose one of {', '.join(writable_names())}")
    if entry.extra:
        load_extra(entry, f"{entry.label} output")
    remaining = iter(pages)
    first = next(remaining)
    check_fits(entry, first.frame.width, first.frame.height)
    notes: list[str] = []
    if options.quality is not None and entry.default_quality is None:
        notes.append(f"--quality has no effect on {entry.label}")
    metadata = _as_asked(metadata, options)
    with _writable(target) as file:
        if entry.animation and first.duration_ms is not None:
            folder = target.parent if isinstance(target, Path) else None
            _encode_animation(chain([first], remaining), file, entry, metadata, options, folder, notes)
        elif entry is TIFF:
            _encode_tiff(chain([first], remaining), file, metadata, options, notes)
        else:
            _encode_still(first, file, entry, metadata, options, notes)
    return tuple(dict.fromkeys(notes))


def pages_kept(info: ImageInfo, target: Format) -> tuple[int, tuple[str, ...]]:
    """Return how many of an image's pages a file of `target` can hold, and a note if that is not all of them."""
    takes_all = target.animation if info.animated else target.pages
    if info.pages == 1 or takes_all:
        return info.pages, ()
    what = "frames of the animation" if info.animated else "pages"
    return 1, (f"only the first of {info.pages} {what} is kept: {target.label} holds only one",)


def fit(page: Page, target: Format, options: EncodeOptions) -> tuple[Frame, tuple[str, ...]]:
    """Return a page's frame as the format can hold it (GRAY or RGB, 8 to 16 bits or float32), and notes."""
    frame, notes = page.frame, []
    if frame.space is ColorSpace.YUV:
        raise ValueError("a still image is GRAY or RGB")
    if frame.alpha is not None and not target.alpha:
        if frame.alpha.min() < frame.peak:
            color = "#{:02x}{:02x}{:02x}".format(*options.background)
            notes.append(f"transparency flattened onto {color}: {target.label} has none")
        frame = composite(frame, options.background)
    is_lossy = target.default_quality is not None and options.quality not in (None, 100)
    if target.floating and not is_lossy and (frame.depth == 32 or not target.depths):
        return (_with_range(frame, page) if frame.depth == 32 else _to_float(frame), tuple(notes))
    bits = min(16, page.bits or frame.depth)
    depth = next((depth for depth in target.depths if depth >= bits), target.depths[-1])
    if frame.depth == 32:
        frame = _to_integers(frame, 16 if depth > 8 else 8)
        scaled = (
            "" if page.value_range is None else f", scaled from {page.value_range.low:g}..{page.value_range.high:g}"
        )
        how = " at that quality" if target.floating else ""
        notes.append(
            f"float values reduced to {depth} bits{scaled}: {target.label} is not written with float values{how}"
        )
    elif bits > depth:
        notes.append(f"{bits} bits reduced to {depth}: {target.label} is not written with more")
    return with_depth(frame, depth), tuple(notes)


def _encode_still(
    page: Page, file: BinaryIO, target: Format, metadata: Metadata, options: EncodeOptions, notes: list[str]
) -> None:
    frame = _fitted(page, target, options, notes)
    frame, changed = to_srgb(frame, metadata, target)
    notes.extend(changed)
    if frame.space is ColorSpace.GRAY and not target.gray:
        if target.icc and metadata.icc is not None:
            notes.append(f"gray converted to sRGB through its color profile: {target.label} has no grayscale")
        frame, metadata = _colored(frame, metadata if target.icc else replace(metadata, icc=None))
    metadata = _fitting_metadata(metadata, frame.width, frame.height, target, frame.space, notes)
    if write := writer_for(frame, target):
        write(frame, file, metadata, options)
    else:
        write_still(frame, file, target, metadata, options)


def _as_asked(metadata: Metadata, options: EncodeOptions) -> Metadata:
    """Return metadata without what is to be stripped, and with the resolution that is to be set."""
    if options.strip_metadata:
        metadata = stripped(metadata)
    return metadata if options.dpi is None else with_dpi(metadata, options.dpi)


def _encode_tiff(
    pages: Iterable[Page], file: BinaryIO, metadata: Metadata, options: EncodeOptions, notes: list[str]
) -> None:
    def fitted(page: Page) -> tuple[Frame, Metadata]:
        frame = _fitted(page, TIFF, options, notes)
        own = metadata if page.metadata is None else _as_asked(page.metadata, options)
        return frame, _fitting_metadata(own, frame.width, frame.height, TIFF, frame.space, notes)

    notes.extend(write_tiff(map(fitted, pages), file))


def _encode_animation(
    pages: Iterable[Page],
    file: BinaryIO,
    target: Format,
    metadata: Metadata,
    options: EncodeOptions,
    folder: Path | None,
    notes: list[str],
) -> None:
    described = metadata

    def fitted() -> Iterator[tuple[Frame, float]]:
        for page in pages:
            frame, changed = to_srgb(_fitted(page, target, options, notes), described, target)
            notes.extend(changed)
            yield frame, page.duration_ms or 0.0

    frames = fitted()
    first = next(frames)
    width, height = first[0].width, first[0].height
    metadata = _fitting_metadata(metadata, width, height, target, ColorSpace.RGB, notes)
    if target is AVIF and metadata.loop:
        notes.append(f"the animation plays endlessly, not {metadata.loop} times: AVIF has no loop count")
    write_animation(chain([first], frames), file, target, metadata, options, folder)


def _fitted(page: Page, target: Format, options: EncodeOptions, notes: list[str]) -> Frame:
    animation = target.animation and page.duration_ms is not None
    frame, lost = fit(page, replace(target, depths=(8,)) if animation else target, options)
    notes.extend(lost)
    if target is GIF and frame.alpha is not None and np.any((frame.alpha > 0) & (frame.alpha < 255)):
        notes.append("partial transparency made fully transparent or opaque: GIF has nothing between")
    return frame


def _fitting_metadata(
    metadata: Metadata, width: int, height: int, target: Format, space: ColorSpace, notes: list[str]
) -> Metadata:
    metadata, damage = for_size(metadata, width, height)
    metadata, left_out = embeddable(metadata, target, space)
    notes.extend((*damage, *left_out))
    return metadata


def _colored(frame: Frame, metadata: Metadata) -> tuple[Frame, Metadata]:
    """Return a gray frame of 8 bits as sRGB, for a format without grayscale, and its metadata without the profile."""
    convert, _ = converter_to_srgb("L", metadata.icc)
    pixels = np.array(convert(to_pillow(replace(frame, alpha=None))))
    return Frame((pixels,), ColorSpace.RGB, 8, frame.alpha), replace(metadata, icc=None)


def _with_range(frame: Frame, page: Page) -> Frame:
    if page.value_range is None:
        return frame
    return replace(frame, planes=(restore(frame.planes[0], page.value_range),))


def _to_integers(frame: Frame, depth: int) -> Frame:
    dtype, peak = (np.uint16, 65535) if depth == 16 else (np.uint8, 255)

    def convert(plane: Plane) -> Plane:
        return np.asarray(np.rint(np.clip(plane, 0, 1) * peak), dtype)

    return _mapped(frame, depth, convert)


def _to_float(frame: Frame) -> Frame:
    peak = np.float32(frame.peak)
    return _mapped(frame, 32, lambda plane: plane.astype(np.float32) / peak)


def _mapped(frame: Frame, depth: int, convert: Callable[[Plane], Plane]) -> Frame:
    alpha = None if frame.alpha is None else convert(frame.alpha)
    return Frame(tuple(convert(plane) for plane in frame.planes), frame.space, depth, alpha)


@contextmanager
def _writable(target: Path | BinaryIO) -> Iterator[BinaryIO]:
    """Yield a readable and seekable file, as writers need; a pipe gets its bytes at the end."""
    if isinstance(target, Path):
        with target.open("w+b") as file:
            yield file
        return
    with tempfile.NamedTemporaryFile() as temporary:  # tifffile needs its name
        yield cast(BinaryIO, temporary)
        temporary.seek(0)
        shutil.copyfileobj(temporary, target)
