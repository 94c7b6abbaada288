"""Metadata as each format's encoder wants it, and what a format cannot hold."""

import io
from dataclasses import replace
from typing import Any

from PIL import Image, PngImagePlugin

from esrt_core.media.colour import profile_for
from esrt_core.media.formats import PNG, TIFF, Format
from esrt_core.media.frame import ColorSpace
from esrt_core.media.picture import Metadata

_XMP_KEYWORD = "XML:com.adobe.xmp"
_NAMES = {"icc": "colour profile", "exif": "EXIF", "xmp": "XMP", "dpi": "resolution"}


def embeddable(metadata: Metadata, target: Format, space: ColorSpace) -> tuple[Metadata, tuple[str, ...]]:
    """Return the metadata that a file of `target` with pixels of `space` can hold, and notes on the rest."""
    notes = []
    if metadata.icc is not None and profile_for(metadata.icc, space) is None:
        metadata = replace(metadata, icc=None)
        notes.append(f"colour profile left out: it is not one for {space.value} pixels")
    present = [field for field in _NAMES if getattr(metadata, field) is not None]
    for field in present:
        if not getattr(target, field):
            problem = f"{target.label} cannot hold it"
        else:
            problem = "" if target is TIFF else _problem(metadata, field, target, space)
        if problem:
            metadata = replace(metadata, **{field: None})
            notes.append(f"{_NAMES[field]} left out: {problem}")
    return metadata, tuple(notes)


def save_parameters(metadata: Metadata, target: Format) -> dict[str, Any]:
    """Return the metadata as arguments of Pillow's `Image.save`."""
    parameters: dict[str, Any] = {}
    if metadata.icc is not None:
        parameters["icc_profile"] = metadata.icc
    if metadata.exif is not None:
        parameters["exif"] = b"Exif\0\0" + metadata.exif
    if metadata.dpi is not None:
        parameters["dpi"] = metadata.dpi
    if metadata.xmp is not None and target is PNG:
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt(_XMP_KEYWORD, metadata.xmp.decode("utf-8"))
        parameters["pnginfo"] = chunks
    elif metadata.xmp is not None:
        parameters["xmp"] = metadata.xmp
    return parameters


def _problem(metadata: Metadata, field: str, target: Format, space: ColorSpace) -> str:
    """Return why the encoder refuses one item, found out on a picture of one pixel, or an empty string."""
    alone = replace(Metadata(), **{field: getattr(metadata, field)})
    pixel = Image.new("L" if space is ColorSpace.GRAY else "RGB", (1, 1))
    try:
        pixel.save(io.BytesIO(), target.pillow[0], **save_parameters(alone, target))
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError, RuntimeError, SyntaxError) as error:
        return str(error) or type(error).__name__
    return ""
