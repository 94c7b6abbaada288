"""The upsampler composed into one 5 x 5 convolution, in NumPy. The same in torch: esrt_core.engine.fused.upsampler."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 2  # LR px around it that an output draws from
EDGE = REACH + 1  # LR px that an output in the first or last row or column draws from
FIRST, INNER, LAST = 0, 1, 2  # where a row or column lies in the picture


@dataclass(frozen=True)
class Layer:
    """Hold a 3 x 3 convolution: weight (D, C, 3, 3) and bias (D,) or None."""

    weight: Array
    bias: Array | None


@dataclass(frozen=True)
class Kernel:
    """Hold what one kind of pixel is made with: weight (h, w, C, 3 * scale ** 2) and bias (3 * scale ** 2,)."""

    weight: Array
    bias: Array


def composed_kernels(steps: Sequence[Layer], last: Layer, factors: Sequence[int]) -> dict[tuple[int, int], Kernel]:
    """Compose convolutions that have only PixelShuffles by `factors` between them, for every place (row, column).

    Together they are one linear map, whose weights are its answers to unit impulses. The outermost LR pixels have
    kernels of their own, because the inner maps are padded with zeros.
    """
    kernels = {}
    for edge_y, edge_x in product((False, True), (False, True)):
        answers = _answers(steps, last, factors, edge_y, edge_x)
        rest = _push(np.zeros((1, *answers.shape[3:5], answers.shape[2])), steps, last, factors, biased=True)[0]
        rows, columns = ((FIRST, LAST) if edge else (INNER,) for edge in (edge_y, edge_x))
        for row, column in product(rows, columns):
            (down, out_y), (right, out_x) = _taps(row), _taps(column)
            weight = answers[down[:, None], right, :, out_y[:, None], out_x]  # (h, w, C, D)
            kernels[row, column] = Kernel(weight, rest[out_y[REACH], out_x[REACH]])
    return kernels


def _taps(place: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return, for each tap along one axis, which impulse and which output pixel its weight is read from."""
    if place == INNER:  # one impulse, in the middle, felt by the pixels around it
        return np.zeros(2 * REACH + 1, np.intp), np.arange(2 * REACH, -1, -1)
    return np.arange(EDGE), np.full(EDGE, 0 if place == FIRST else EDGE - 1)


def _answers(steps: Sequence[Layer], last: Layer, factors: Sequence[int], edge_y: bool, edge_x: bool) -> Array:
    """Push unit impulses through the layers without their biases: (y, x, C, H, W, D)."""
    channels = steps[0].weight.shape[1]
    (height, ys), (width, xs) = (_impulses(edge) for edge in (edge_y, edge_x))
    inputs = np.zeros((len(ys), len(xs), channels, height, width, channels))
    for (i, y), (j, x), c in product(enumerate(ys), enumerate(xs), range(channels)):
        inputs[i, j, c, y, x, c] = 1
    answers = _push(inputs.reshape(-1, height, width, channels), steps, last, factors, biased=False)
    return answers.reshape(*inputs.shape[:5], -1)


def _impulses(edge: bool) -> tuple[int, range]:
    """Return a canvas length and where impulses go: at an edge three, elsewhere one that no border disturbs."""
    return (EDGE, range(EDGE)) if edge else (2 * REACH + 1, range(REACH, REACH + 1))


def _push(x: Array, steps: Sequence[Layer], last: Layer, factors: Sequence[int], biased: bool) -> Array:
    """Upsample (B, H, W, C), then undo the PixelShuffles: (B, H, W, 3 * scale ** 2)."""
    for step, factor in zip(steps, factors, strict=True):
        x = _shuffled(_convolved(x, step, biased), factor)
    return _unshuffled(_convolved(x, last, biased), int(np.prod(factors)))


def _convolved(x: Array, layer: Layer, biased: bool) -> Array:
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    y: Array = np.concatenate(parts, -1) @ layer.weight.transpose(2, 3, 1, 0).reshape(-1, len(layer.weight))
    return y + layer.bias if biased and layer.bias is not None else y


def _shuffled(x: Array, factor: int) -> Array:
    """Apply PixelShuffle: (B, H, W, C * factor ** 2) to (B, factor * H, factor * W, C)."""
    batch, height, width, channels = x.shape
    cells = x.reshape(batch, height, width, channels // factor**2, factor, factor).transpose(0, 1, 4, 2, 5, 3)
    return cells.reshape(batch, factor * height, factor * width, -1)


def _unshuffled(x: Array, factor: int) -> Array:
    batch, height, width, channels = x.shape
    cells = x.reshape(batch, height // factor, factor, width // factor, factor, channels).transpose(0, 1, 3, 5, 2, 4)
    return cells.reshape(batch, height // factor, width // factor, -1)
