"""The upsampler composed into one 5 x 5 convolution, in NumPy. The same in torch: esrt_core.engine.fast.tail."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIRST, INNER, LAST = 0, 1, 2  # where a row or column of LR pixels lies in the picture


@dataclass(frozen=True)
class Layer:
    """Hold a 3 x 3 convolution: weight (D, C, 3, 3) and bias (D,) or None."""

    weight: Array
    bias: Array | None


@dataclass(frozen=True)
class Kernel:
    """Hold what one kind of LR pixel is made with: weight (h, w, C, 3 * scale ** 2) and bias (3 * scale ** 2,)."""

    weight: Array
    bias: Array


def composed_kernels(steps: Sequence[Layer], last: Layer, factors: Sequence[int]) -> dict[tuple[int, int], Kernel]:
    """Compose convolutions that have only PixelShuffles by `factors` between them, for every place (row, column).

    Together they are one linear map, 5 x 5 LR pixels wide. The outermost LR pixels have kernels of their own, 3 pixels
    from the edge, because the inner maps are padded with zeros.
    """
    places = product((FIRST, INNER, LAST), (FIRST, INNER, LAST))
    return {place: _composed(steps, last, factors, place) for place in places}


def _composed(steps: Sequence[Layer], last: Layer, factors: Sequence[int], place: tuple[int, int]) -> Kernel:
    """Follow the outputs of one LR pixel back through the layers: the share that each number of a map has in them."""
    scale = math.prod(factors)
    own = np.zeros((scale, scale, 3, scale, scale, 3))  # of the enlarged picture, outputs in the shuffle's order
    for y, x, channel in product(range(scale), range(scale), range(3)):
        own[y, x, channel, y, x, channel] = 1
    shares: Array = own.reshape(scale, scale, -1, 3)  # (h, w, output, C)
    bias = _bias_share(shares, last)
    shares = _before_convolution(shares, last, place)
    reach = 1  # px of the map around those that lie in the LR pixel
    for step, factor in zip(reversed(steps), reversed(factors), strict=True):
        shares = _before_shuffle(shares, factor, place, -reach % factor)
        bias = bias + _bias_share(shares, step)
        shares = _before_convolution(shares, step, place)
        reach = math.ceil(reach / factor) + 1
    return Kernel(shares.transpose(0, 1, 3, 2), bias)


def _bias_share(shares: Array, layer: Layer) -> Array:
    """Return what a layer's bias adds to the outputs: (h, w, output, D) to (output,)."""
    total: Array = shares.sum((0, 1))
    return np.zeros(len(total)) if layer.bias is None else total @ layer.bias


def _before_convolution(shares: Array, layer: Layer, place: tuple[int, int]) -> Array:
    """Go from the shares of a convolution's outputs to those of its inputs: (h, w, output, D) to (h', w', output, C).

    The map grows by a pixel on every side but those where the picture ends: what lies beyond is zero.
    """
    height, width, outputs, _ = shares.shape
    inputs = layer.weight.shape[1]
    taps = shares @ layer.weight.transpose(0, 2, 3, 1).reshape(len(layer.weight), -1)
    taps = taps.reshape(height, width, outputs, 3, 3, inputs)
    before = np.zeros((height + 2, width + 2, outputs, inputs))
    for down, right in product(range(3), repeat=2):
        before[down : down + height, right : right + width] += taps[:, :, :, down, right]
    rows, columns = (slice(where == FIRST, -1 if where == LAST else None) for where in place)
    return before[rows, columns]


def _before_shuffle(shares: Array, factor: int, place: tuple[int, int], missing: int) -> Array:
    """Go through a PixelShuffle: (h, w, output, C) to (h / factor, w / factor, output, C * factor ** 2).

    The outermost cells, but where the picture ends, lack `missing` rows and columns, which are filled with zeros.
    """
    fill = [(0 if where == FIRST else missing, 0 if where == LAST else missing) for where in place]
    shares = np.pad(shares, (*fill, (0, 0), (0, 0)))
    height, width, outputs, channels = shares.shape
    cells = shares.reshape(height // factor, factor, width // factor, factor, outputs, channels)
    return cells.transpose(0, 2, 4, 5, 1, 3).reshape(height // factor, width // factor, outputs, -1)
