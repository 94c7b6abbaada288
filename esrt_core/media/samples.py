"""Sample values: any number type to the depths of a Frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.picture import Page, ValueRange

Samples = NDArray[Any]


def integers_to_16(samples: Samples) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Return integers as uint16 and a note when they do not fit.

    Values within 0..65535 stay as they are. Otherwise unsigned numbers keep their upper 16 bits, and the span of signed
    ones is stretched over 0..65535.
    """
    low, high = int(samples.min()), int(samples.max())
    if low >= 0 and high <= 65535:
        return samples.astype(np.uint16), ()
    if samples.dtype.kind == "u":
        bits = samples.dtype.itemsize * 8
        return (samples >> (bits - 16)).astype(np.uint16), (f"{bits} bits reduced to 16",)
    stretched = (samples.astype(np.float64) - low) * (65535 / (high - low))
    return np.rint(stretched).astype(np.uint16), (f"values from {low} to {high} stretched over 16 bits",)


def widen_to_16(samples: Samples, bits: int) -> NDArray[np.uint16]:
    """Return unsigned samples of 9 to 16 significant bits with 65535 as full scale."""
    if bits == 16:
        return np.asarray(samples, np.uint16)
    return np.asarray(np.rint(samples.astype(np.float32) * (65535 / (2**bits - 1))), np.uint16)


def normalise(samples: Samples) -> tuple[NDArray[np.float32], ValueRange | None, tuple[str, ...]]:
    """Return float samples within 0..1, what 0 and 1 stand for where that is not 0 and 1, and notes.

    Samples within 0..1 stay as they are. Otherwise the span from the lowest (at most 0) to the highest (at least 1) is
    mapped to 0..1, which `restore` undoes. What is not finite becomes the lowest finite value.
    """
    values = samples.astype(np.float32)
    notes: tuple[str, ...] = ()
    finite = np.isfinite(values)
    if not finite.all():
        lowest = values[finite].min() if finite.any() else np.float32(0)
        values = np.where(finite, values, lowest)
        notes = ("values that are not finite replaced by the lowest finite one",)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1.0)
    if (low, high) == (0.0, 1.0):
        return values, None, notes
    values = ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)
    return values, ValueRange(low, high), notes


def restore(samples: NDArray[np.float32], value_range: ValueRange) -> NDArray[np.float32]:
    """Undo `normalise`."""
    span = value_range.high - value_range.low
    return (samples.astype(np.float64) * span + value_range.low).astype(np.float32)


def page_of(colour: Samples, alpha: Samples | None, depth: int, notes: tuple[str, ...] = ()) -> Page:
    """Return a page of colour samples (H, W) or (H, W, 3) that already have the depth's type and full scale."""
    space = ColorSpace.GRAY if colour.ndim == 2 else ColorSpace.RGB
    return Page(Frame((colour,), space, depth, alpha), notes=notes)
