"""The upsampler composed into one 5 x 5 convolution, in NumPy. The same in torch: esrt_core.engine.fused.upsampler."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIRST, INNER, LAST = 0, 1, 2  # where a row or column of LR pixels lies in the picture
PLACES = tuple((row, column) for row in (FIRST, INNER, LAST) for column in (FIRST, INNER, LAST))


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

    The outputs of one LR pixel are followed back through the layers, as the share that each number of a map has in
    them. What is the same in every place is computed once: up to the last of `steps`, an edge only takes cells away.
    """
    own = _own_shares(math.prod(factors))
    taps = dict.fromkeys(PLACES, _taps(own, last))
    bias = dict.fromkeys(PLACES, _bias_share(own, last))
    reach = 1  # px of the map around those that lie in the LR pixel
    for step, factor in zip(reversed(steps), reversed(factors), strict=True):
        maps = {place: _gathered(taps[place], place) for place in PLACES}
        cells = {place: _before_shuffle(maps[place], factor, place, -reach % factor) for place in PLACES}
        bias = {place: bias[place] + _bias_share(cells[place], step) for place in PLACES}
        if step is steps[-1]:
            whole = _taps(cells[INNER, INNER], step)
            taps = {place: whole[_inside(place)] for place in PLACES}
        else:
            taps = {place: _taps(cells[place], step) for place in PLACES}
        reach = math.ceil(reach / factor) + 1
    return {place: Kernel(_gathered(taps[place], place).transpose(0, 1, 3, 2), bias[place]) for place in PLACES}


def _own_shares(scale: int) -> Array:
    """Return the shares of the enlarged picture's numbers in an LR pixel's outputs: (h, w, output, C)."""
    shares: Array = np.zeros((scale, scale, 3, scale, scale, 3))  # outputs in the shuffle's order
    for y, x, channel in product(range(scale), range(scale), range(3)):
        shares[y, x, channel, y, x, channel] = 1
    return shares.reshape(scale, scale, -1, 3)


def _bias_share(shares: Array, layer: Layer) -> Array:
    """Return what a layer's bias adds to the outputs: (h, w, output, D) to (output,)."""
    total: Array = shares.sum((0, 1))
    return np.zeros(len(total)) if layer.bias is None else total @ layer.bias


def _taps(shares: Array, layer: Layer) -> Array:
    """Return what each of a convolution's taps gets: (h, w, output, D) to (h, w, output, 3, 3, C)."""
    height, width, outputs, _ = shares.shape
    weight = layer.weight.transpose(0, 2, 3, 1)
    taps = shares.reshape(-1, len(weight)) @ weight.reshape(len(weight), -1)
    return taps.reshape(height, width, outputs, *weight.shape[1:])


def _gathered(taps: Array, place: tuple[int, int]) -> Array:
    """Add up the taps of a convolution to the shares of its inputs: (h, w, output, 3, 3, C) to (h', w', output, C).

    The map grows by a pixel on every side but those where the picture ends: what lies beyond is zero.
    """
    height, width, outputs, *_, inputs = taps.shape
    before = np.zeros((height + 2, width + 2, outputs, inputs))
    for down, right in product(range(3), repeat=2):
        before[down : down + height, right : right + width] += taps[:, :, :, down, right]
    return before[_inside(place)]


def _inside(place: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a map without those beyond the picture's edge."""
    rows, columns = (slice(int(where == FIRST), -1 if where == LAST else None) for where in place)
    return rows, columns


def _before_shuffle(shares: Array, factor: int, place: tuple[int, int], missing: int) -> Array:
    """Go through a PixelShuffle: (h, w, output, C) to (h / factor, w / factor, output, C * factor ** 2).

    The outermost cells, but where the picture ends, lack `missing` rows and columns, which are filled with zeros.
    """
    fill = [(0 if where == FIRST else missing, 0 if where == LAST else missing) for where in place]
    shares = np.pad(shares, (*fill, (0, 0), (0, 0)))
    height, width, outputs, channels = shares.shape
    cells = shares.reshape(height // factor, factor, width // factor, factor, outputs, channels)
    return cells.transpose(0, 2, 4, 5, 1, 3).reshape(height // factor, width // factor, outputs, -1)
