"""Arithmetic for NumPy arrays on a CPU and torch's tensors on a GPU, written once.

NumPy 2 and torch agree on the functions, methods and order of arguments that color.py and blend.py use. The package
array-api-compat would cover the rest too, but importing it takes as long as importing NumPy.
"""

import sys
from typing import Any

import numpy as np

Array = Any  # a NumPy array or a torch tensor


def namespace(x: Array) -> Any:
    """Return the module whose functions take an array: numpy, or torch, which must then have been imported."""
    return np if isinstance(x, np.ndarray) else sys.modules["torch"]


def along(axis: int, start: int, stop: int | None = None, step: int | None = None) -> tuple[slice, ...]:
    """Return the index of a slice along one axis."""
    return (*(slice(None),) * axis, slice(start, stop, step))
