"""A frame to the 256 colours of a GIF."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.media.frame import ColorSpace, Frame

_TRANSPARENT = 255
_SAMPLE_PIXELS = 1_000_000
_KEPT_PALETTE_ERROR = 1.1  # a palette is kept for the next frame while its error is at most this much larger


def to_palette(frame: Frame, previous: Image.Image | None = None, *, dither: bool = True) -> Image.Image:
    """Return a frame of 8 bits in mode P; half transparent and more becomes transparent.

    The palette is made for what is visible alone. The palette of `previous` is kept while it serves nearly as well, so
    that what stands still does not flicker. Dithering suits a still picture; in an animation it crawls.
    """
    colour = frame.planes[0]
    if frame.space is ColorSpace.GRAY:
        colour = np.repeat(colour[..., None], 3, axis=2)
    hidden = None if frame.alpha is None else frame.alpha < 128
    image = _quantised(colour, hidden, previous, dither)
    if hidden is None or not hidden.any():
        return image
    indices = np.array(image)
    indices[hidden] = _TRANSPARENT
    result = Image.fromarray(indices, "P")
    palette = (image.getpalette("RGB") or [])[: 3 * _TRANSPARENT]
    result.putpalette(palette + [0] * (768 - len(palette)), "RGB")
    result.info["transparency"] = _TRANSPARENT
    return result


def _quantised(
    colour: NDArray[np.uint8], hidden: NDArray[np.bool_] | None, previous: Image.Image | None, dither: bool
) -> Image.Image:
    visible = colour.reshape(-1, 3) if hidden is None else colour[~hidden]
    if not len(visible):
        visible = np.zeros((1, 3), np.uint8)
    sample = visible[:: max(1, len(visible) // _SAMPLE_PIXELS)]
    fresh = Image.fromarray(sample[None]).quantize(_TRANSPARENT, Image.Quantize.MEDIANCUT)
    palette = (
        fresh
        if previous is None or _error(sample, previous) > _error(sample, fresh) * _KEPT_PALETTE_ERROR
        else previous
    )
    method = Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE
    return Image.fromarray(colour).quantize(palette=palette, dither=method)


def _error(sample: NDArray[np.uint8], palette: Image.Image) -> float:
    mapped = Image.fromarray(sample[None]).quantize(palette=palette, dither=Image.Dither.NONE)
    difference = np.asarray(mapped.convert("RGB"), np.int16)[0] - sample
    return float(np.square(difference, dtype=np.float64).mean())
