"""Another bit depth for a frame, by exact integer rounding."""

from dataclasses import replace

import numpy as np

from esrt_core.media.frame import Frame, Plane

_ROWS = 256  # converted at a time, so that the wider numbers in between take little memory


def with_depth(frame: Frame, depth: int) -> Frame:
    """Return a frame of 8 to 16 bits in another such depth, every value rounded to the nearest; float stays float."""
    if depth == frame.depth or 32 in (depth, frame.depth):
        return frame
    source, target = 2**frame.depth - 1, 2**depth - 1

    def converted(plane: Plane) -> Plane:
        out = np.empty(plane.shape, np.uint8 if depth == 8 else np.uint16)
        for top in range(0, len(plane), _ROWS):
            wide = plane[top : top + _ROWS].astype(np.uint64)
            out[top : top + _ROWS] = (wide * target + source // 2) // source
        return out

    alpha = None if frame.alpha is None else converted(frame.alpha)
    return replace(frame, planes=tuple(converted(plane) for plane in frame.planes), alpha=alpha, depth=depth)
