"""NumPy arrays to Frames and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, Frame, Plane

DEPTHS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16, np.dtype(np.float32): 32}


def frame_of_array(array: NDArray[Any]) -> Frame:
    """Return a frame of (H, W) or (H, W, 1) gray, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha.

    uint8 and uint16 use their whole range, float32 is in 0..1. Raise MediaError for any other array.
    """
    depth = DEPTHS.get(array.dtype)
    if depth is None:
        raise MediaError(f"an array of {array.dtype} is no picture; give uint8, uint16 or float32 (0..1)")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise MediaError(f"an array of shape {array.shape} is no picture; give (H, W), (H, W, 3) or (H, W, 4)")
    if depth == 32 and not np.isfinite(array).all():
        raise MediaError("the array holds values that are not finite; replace them first")
    if array.ndim == 2 or array.shape[2] == 1:
        return Frame((np.ascontiguousarray(array.reshape(array.shape[:2])),), ColorSpace.GRAY, depth)
    alpha = np.ascontiguousarray(array[..., 3]) if array.shape[2] == 4 else None
    return Frame((np.ascontiguousarray(array[..., :3]),), ColorSpace.RGB, depth, alpha)


def array_of_frame(frame: Frame, dimensions: int = 3) -> NDArray[Any]:
    """Return a frame's pixels as (H, W, C), or as (H, W) where it is gray and two `dimensions` are asked."""
    colour: Plane = frame.planes[0]
    if colour.ndim == 2 and (dimensions == 3 or frame.alpha is not None):
        colour = colour[..., None]
    return colour if frame.alpha is None else np.concatenate([colour, frame.alpha[..., None]], axis=2)
