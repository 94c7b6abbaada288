"""ICC profiles: whether one fits pixels, and the conversion of CMYK, LAB and gray pixels to sRGB."""

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from PIL import Image, ImageCms

from esrt_core.media.frame import ColorSpace

Converter = Callable[[Image.Image], Image.Image]
_SIGNATURES = {"RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab ", "L": b"GRAY"}


def to_srgb(mode: str, icc: bytes | None) -> tuple[Converter, str]:
    """Return a function that converts a Pillow image of mode CMYK, LAB or L to sRGB, and a note on the method.

    CMYK without a usable profile is converted by Pillow's formula; LAB is CIELAB with the white point D50.
    """
    if mode == "LAB":
        return _through(ImageCms.createProfile("LAB"), mode), "LAB converted to sRGB"
    if icc is not None and profile_fits(icc, mode):
        try:
            convert = _through(ImageCms.ImageCmsProfile(io.BytesIO(icc)), mode)
        except (ImageCms.PyCMSError, OSError):
            return _by_formula, f"{mode} converted to sRGB without a profile: its color profile is damaged"
        return convert, f"{mode} converted to sRGB through its color profile"
    return _by_formula, f"{mode} converted to sRGB without a profile: it has none"


def profile_fits(icc: bytes, mode: str) -> bool:
    """Return whether a profile describes pixels of a Pillow mode (bytes 16 to 19 of its header, ICC.1:2022, 7.2.8)."""
    return icc[16:20] == _SIGNATURES[mode]


def is_converted_from(icc: bytes) -> bool:
    """Return whether a profile describes CMYK or LAB, which are converted to sRGB through it and then do without."""
    return icc[16:20] in (_SIGNATURES["CMYK"], _SIGNATURES["LAB"])


def profile_for(icc: bytes | None, space: ColorSpace) -> bytes | None:
    """Return the profile if it describes pixels of that color space, else None."""
    mode = "L" if space is ColorSpace.GRAY else "RGB"
    return icc if icc is not None and profile_fits(icc, mode) else None


def _by_formula(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def _through(profile: Any, mode: str) -> Converter:
    transform = ImageCms.buildTransform(profile, _srgb(), mode, "RGB")

    def convert(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None
        return converted

    return convert


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
