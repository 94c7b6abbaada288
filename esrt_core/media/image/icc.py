"""ICC profiles: whether one fits pixels, and the conversion of CMYK, LAB and gray pixels to sRGB."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from esrt_core.media.frame import ColorSpace, Frame

_BAND_ROWS = 256
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


def frame_to_srgb(frame: Frame, icc: bytes) -> Frame | None:
    """Return a frame of 8 or 16 bits or float with its colors converted from a profile to sRGB; None if it is damaged.

    `icc` must fit the frame's color space; GRAY stays GRAY.
    """
    import imagecodecs  # here: it takes longer to import than a small picture to decode

    gray = frame.space is ColorSpace.GRAY
    source = frame.planes[0]
    scale = np.float32(1 / frame.peak) if 8 < frame.depth < 16 else None
    converted = np.empty_like(source)
    for top in range(0, frame.height, _BAND_ROWS):
        rows = np.ascontiguousarray(source[top : top + _BAND_ROWS])
        samples = rows if scale is None else rows * scale
        try:
            result = _transformed(samples, icc, gray)
        except imagecodecs.CmsError:
            return None
        result = result[..., 0] if gray else result
        if result.dtype == np.float32:
            result = np.clip(result, 0, 1)
        converted[top : top + _BAND_ROWS] = result if scale is None else np.rint(result * np.float32(frame.peak))
    return replace(frame, planes=(converted,))


def is_nearly_srgb(icc: bytes, space: ColorSpace) -> bool:
    """Return whether a profile that fits the color space changes no color by more than 1 of 255 on the way to sRGB."""

    steps = np.linspace(0, 255, 18).astype(np.uint8)
    colors = steps if space is ColorSpace.GRAY else np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    converted = frame_to_srgb(Frame((colors[None],), space), icc)
    return converted is not None and int(np.abs(converted.planes[0].astype(int) - colors).max()) <= 1


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


def _transformed(samples: NDArray[Any], icc: bytes, gray: bool) -> NDArray[Any]:
    """Return samples converted to sRGB, (H, W, 3). Unoptimized: LittleCMS's tables for 16 bits are off by up to 5 %."""
    import imagecodecs

    return np.asarray(
        imagecodecs.cms_transform(
            samples,
            icc,
            _srgb().tobytes(),
            colorspace="gray" if gray else "rgb",
            outcolorspace="rgb",
            flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,
        )
    )


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
