"""The weights as the native network reads them: folded, evaluated at Winograd's points, in the order of weights.c."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from esrt_core.architecture import FACTORS
from esrt_core.engine.native.composition import FIRST, INNER, LAST, Kernel, Layer, composed_kernels
from esrt_core.engine.native.library import aligned_empty

Array = NDArray[np.float64]
Weights = Mapping[str, NDArray[np.float32]]

CHANNELS = 32  # those of the published network; others are left to the fused form
MAX_BLOCKS = 8  # as in network.h
LINE = 16  # floats; every array is filled up to a multiple of it
TAPS = 9  # pixels of a token
HEADS = 8
HIDDEN_PADDED = 80
FINITE = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))  # the points along one axis; infinity is the sixth


def pack(weights: Weights, scale: int) -> NDArray[np.float32]:
    """Pack weights, by our parameter names, into one array; compositions are rounded once."""
    arrays = [np.asarray(array, np.float32) for array in _network(_Named(weights), scale)]
    sizes = [-(-array.size // LINE) * LINE for array in arrays]
    packed = aligned_empty(sum(sizes))
    packed[:] = 0
    at = 0
    for array, size in zip(arrays, sizes, strict=True):
        packed[at : at + array.size] = array.ravel()
        at += size
    return packed


def count_blocks(weights: Weights) -> int:
    """Return how many HPBs the weights have."""
    return sum(
        name.startswith("lcb.hpb.") and name.count(".") == 4 and name.endswith(".fuse.weight") for name in weights
    )


def can_run(weights: Weights) -> bool:
    """Return whether the native network takes these weights: those of the published width."""
    head = weights.get("head.weight")
    return head is not None and len(head) == CHANNELS and 1 <= count_blocks(weights) <= MAX_BLOCKS


class _Named:
    """Read parameters below a prefix in float64."""

    def __init__(self, weights: Weights, prefix: str = "") -> None:
        self._weights, self._prefix = weights, prefix

    def __call__(self, name: str) -> Array:
        return np.asarray(self._weights[self._prefix + name], np.float64)

    def below(self, name: str) -> "_Named":
        return _Named(self._weights, f"{self._prefix}{name}.")

    def layer(self, name: str) -> Layer:
        biased = f"{self._prefix}{name}.bias" in self._weights
        return Layer(self(f"{name}.weight"), self(f"{name}.bias") if biased else None)

    @property
    def blocks(self) -> int:
        return count_blocks(self._weights)


def _network(named: _Named, scale: int) -> Iterator[Array]:
    head = named.layer("head")
    yield from (head.weight.reshape(-1, TAPS * 3).T, _bias(head))
    for block in range(named.blocks):
        yield from _hpb(named.below(f"lcb.hpb.{block}"))
    yield from _filter(named.layer("ltb.reduce"))
    yield from _transformer(named.below("ltb.et"))
    yield from _filter(_scaled(named("a2"), named.layer("ltb.conv")))
    yield np.full(len(head.weight), named("a1"))
    yield from _filter(named.layer("reduce"))
    for branch in (named.below("tail"), named.below("up")):
        layers = [branch.layer(f"steps.{index}") for index in range(len(FACTORS[scale]))]
        yield from _upsampler(composed_kernels(layers, branch.layer("last"), FACTORS[scale]))


def _hpb(named: _Named) -> Iterator[Array]:
    low, high = np.split(_matrix(named("fuse.weight")), 2, 1)
    yield from _arfb(named.below("arfb_enc"))
    yield from _arfb(named.below("arfb_low"))
    yield from _arfb(named.below("arfb_high"))
    yield from (low.T, high.T)
    yield from _gate(named.below("ca"))
    yield from _arfb(named.below("arfb_out"))


def _arfb(named: _Named) -> Iterator[Array]:
    """Fold an ARFB's scalars.

    The second residual unit ends in the 1 x 1 convolution that follows it: with r2 = m1 r1 + m2 expand(p),
    fuse([l2 r2, l3 r1]) = (l2 m1 A + l3 B) r1 + l2 m2 A expand(p), where A and B are the halves of fuse.
    """
    ru1, ru2 = named.below("ru1"), named.below("ru2")
    channels = len(ru1("expand.weight"))
    l2, l3, l4, l5 = (named(f"l{index}") for index in (2, 3, 4, 5))
    first, second = np.split(_matrix(named("fuse.weight")), 2, 1)  # of r2, of r1
    through = l2 * ru2("m2") * first
    yield from (*_filter(ru1.layer("reduce")), ru1("act.weight"))
    yield from _filter(_scaled(ru1("m2"), ru1.layer("expand")))
    yield np.full(channels, ru1("m1"))
    yield from (*_filter(ru2.layer("reduce")), ru2("act.weight"))
    expand2 = ru2.layer("expand")
    yield from _filter(Layer(np.tensordot(through, expand2.weight, 1), through @ _bias(expand2)))
    yield (l2 * ru2("m1") * first + l3 * second).T
    yield from _gate(named.below("ca"))
    yield from _filter(_scaled(l5, named.layer("conv")))
    # l5 relu(c) is max(l5 c, 0) for a positive l5 and min(l5 c, 0) for a negative one.
    positive = np.full(channels, l5 >= 0, np.float64)
    yield from (positive, 1 - positive, np.full(channels, l4))


def _gate(named: _Named) -> Iterator[Array]:
    yield from (_matrix(named("down.weight")), named("down.bias"), _matrix(named("up.weight")).T, named("up.bias"))


def _transformer(named: _Named) -> Iterator[Array]:
    """Fold an ET's normalizations, and put the token's numbers in the order (pixel of the patch, channel)."""
    channels = len(named("norm1.weight")) // TAPS
    order = np.arange(TAPS * channels).reshape(channels, TAPS).T.ravel()
    reduce = _after_norm(named, "norm1", Layer(named("emha.reduce.weight"), None))
    qkv = named("emha.qkv.weight").reshape(3, HEADS, -1, len(reduce.weight))  # (3, head, DIM, in)
    scale = (TAPS * channels // HEADS) ** -0.5 * math.log2(math.e)  # the paper's, and the base of the powers
    for head in (qkv * np.array([scale, 1, 1])[:, None, None, None]).transpose(1, 0, 2, 3):
        matrix = head.reshape(-1, len(reduce.weight))  # queries, keys, values
        composed = (matrix @ reduce.weight).reshape(-1, channels, 3, 3)
        yield from _filter(Layer(composed, matrix @ _bias(reduce)))
    expand, fc2 = named.layer("emha.expand"), named.layer("mlp.fc2")
    fc1 = _after_norm(named, "norm2", named.layer("mlp.fc1"))
    fill = HIDDEN_PADDED - len(fc1.weight)
    yield from (expand.weight[order].T, _bias(expand)[order])
    yield from (np.pad(fc1.weight[:, order].T, ((0, 0), (0, fill))), np.pad(_bias(fc1), (0, fill)))
    # A pixel gets from the token below it what that has for its first row: the sums are a convolution, turned around.
    folded = fc2.weight.reshape(channels, 3, 3, -1).transpose(0, 3, 1, 2)[:, :, ::-1, ::-1]
    yield from _filter(Layer(np.pad(folded, ((0, 0), (0, fill), (0, 0), (0, 0))), None))
    yield _bias(fc2)[order]


def _after_norm(named: _Named, norm: str, linear: Layer) -> Layer:
    """Fold a LayerNorm's affine map and its centering into the linear layer after it."""
    weight = linear.weight * named(f"{norm}.weight")
    bias = linear.weight @ named(f"{norm}.bias") + _bias(linear)
    return Layer(weight - weight.mean(1, keepdims=True), bias)


def _upsampler(kernels: dict[tuple[int, int], Kernel]) -> Iterator[Array]:
    inner = kernels[INNER, INNER]
    yield from _filter(Layer(inner.weight.transpose(3, 2, 0, 1), inner.bias))
    for row in (FIRST, INNER, LAST):
        for column in (FIRST, INNER, LAST):
            if (row, column) != (INNER, INNER):
                yield from (_whole(kernels[row, column].weight), _whole(kernels[row, column].bias))


def _filter(layer: Layer) -> Iterator[Array]:
    """Evaluate a weight (D, C, k, k) at the points: (36, C, D); then the bias. D is filled up to whole lines."""
    outputs, inputs, size, _ = layer.weight.shape
    matrix = _evaluation(size)
    taps = layer.weight.transpose(2, 3, 1, 0).reshape(size * size, -1)
    yield _whole((np.kron(matrix, matrix) @ taps).reshape(-1, inputs, outputs))
    yield _whole(_bias(layer))


def _evaluation(size: int) -> Array:
    """Return the matrix (6, size) that evaluates a kernel along one axis (Lavin and Gray, arXiv 1509.09308)."""
    powers = np.arange(size)
    rows = [point**powers / math.prod(point - other for other in FINITE if other != point) for point in FINITE]
    return np.stack([*rows, (powers == size - 1).astype(np.float64)])


def _whole(x: Array) -> Array:
    """Fill the last axis up with zeros to a multiple of LINE."""
    missing = -x.shape[-1] % LINE
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)]) if missing else x


def _scaled(factor: Array, layer: Layer) -> Layer:
    return Layer(factor * layer.weight, None if layer.bias is None else factor * layer.bias)


def _bias(layer: Layer) -> Array:
    return np.zeros(len(layer.weight)) if layer.bias is None else layer.bias


def _matrix(weight: Array) -> Array:
    """View a 1 x 1 convolution's weight as (D, C)."""
    return weight.reshape(weight.shape[0], -1)
