"""EXIF orientation: stored rows and columns against shown ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
_SWAPS_SIDES = (5, 6, 7, 8)


def shown_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return (width, height) in px as the picture is to be shown."""
    return (height, width) if orientation in _SWAPS_SIDES else (width, height)


def stored_view(shown: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of the shown pixels (H, W, ...) in which row and column count as in the file.

    Filling the view with stored pixels orients them without a copy. The numbers are those of EXIF 2.32, tag 0x0112.
    """
    across = np.swapaxes(shown, 0, 1)
    match orientation:
        case 2:
            return shown[:, ::-1]
        case 3:
            return shown[::-1, ::-1]
        case 4:
            return shown[::-1]
        case 5:
            return across
        case 6:
            return across[::-1]
        case 7:
            return across[::-1, ::-1]
        case 8:
            return across[:, ::-1]
    return shown
