"""The upsampler as one 5 x 5 convolution. Plain form: esrt_core.model.esrt.Upsampler."""

import math
from copy import deepcopy
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.fused.layers import FixedConv, convolve, to_float32
from esrt_core.model.esrt import Upsampler

REACH = 2  # LR px around it that an output draws from
EDGE = REACH + 1  # LR px that an output in the first or last row or column draws from
FIRST, INNER, LAST = -1, 0, 1  # where a row or column lies in the picture

Place = tuple[int, int]  # (row, column), each FIRST, INNER or LAST
RING: tuple[Place, ...] = (  # the outermost pixels; corners come last because edges run over them
    *((FIRST, INNER), (LAST, INNER), (INNER, FIRST), (INNER, LAST)),
    *product((FIRST, LAST), (FIRST, LAST)),
)


class ComposedUpsampler(nn.Module):
    """An upsampler without its PixelShuffle: (B, C, H, W) to (B, 3 * scale ** 2, H, W).

    Its convolutions have only PixelShuffles between them, so that together they are one linear map: a 5 x 5 convolution
    whose weights are the plain upsampler's answers to unit impulses. It differs in the outermost LR pixels, because the
    plain form pads its inner maps with zeros; these have kernels of their own.
    """

    def __init__(self, upsampler: Upsampler) -> None:
        super().__init__()
        kernels = composed_kernels(upsampler)
        self.inner = FixedConv(*kernels.pop((INNER, INNER)))
        for place, (weight, bias) in kernels.items():
            self.register_buffer(
                _name("weight", place), to_float32(weight).contiguous(memory_format=torch.channels_last)
            )
            self.register_buffer(_name("bias", place), to_float32(bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map LR features to what PixelShuffle(scale) makes the picture of."""
        out: Tensor = self.inner(x)
        for place in RING:
            _at(out, place, 1).copy_(self._convolve(_at(x, place, EDGE), place))
        return out

    def _convolve(self, x: Tensor, place: Place) -> Tensor:
        down, right = (REACH if where == INNER else 0 for where in place)
        weight, bias = (self.get_buffer(_name(kind, place)) for kind in ("weight", "bias"))
        return convolve(x, weight, bias, (down, right))


def composed_kernels(upsampler: Upsampler) -> dict[Place, tuple[Tensor, Tensor]]:
    """Derive weight (3 * scale ** 2, C, h, w) and bias for every place of a pixel; h and w are 5, at an edge 3."""
    kernels: dict[Place, tuple[Tensor, Tensor]] = {}
    for at_edge in product((False, True), (False, True)):
        answers, rest = _answers(upsampler, *at_edge)
        down_places, right_places = ((FIRST, LAST) if edge else (INNER,) for edge in at_edge)
        for place in product(down_places, right_places):
            (down, out_y), (right, out_x) = (_taps(where) for where in place)
            weight = answers[down[:, None], right, :, :, out_y[:, None], out_x]  # (h, w, C, D)
            kernels[place] = (weight.permute(3, 2, 0, 1), rest[:, out_y[0], out_x[0]])
    return kernels


def _taps(where: int) -> tuple[Tensor, Tensor]:
    """Return, for each tap of a kernel along one axis, which impulse and which output pixel it is read from."""
    if where == INNER:  # one impulse, in the middle, felt by the pixels around it
        return torch.zeros(2 * REACH + 1, dtype=torch.long), torch.arange(2 * REACH + 1, 0, -1)
    return torch.arange(EDGE), torch.full((EDGE,), 0 if where == FIRST else EDGE - 1)


def _answers(upsampler: Upsampler, edge_y: bool, edge_x: bool) -> tuple[Tensor, Tensor]:
    """Push unit impulses through an upsampler: answers (y, x, C, D, H, W) above what it makes of zeros, (D, H, W)."""
    like = upsampler.last.weight
    channels = like.shape[1]
    (height, ys), (width, xs) = (_impulses(edge) for edge in (edge_y, edge_x))
    inputs = like.new_zeros(len(ys), len(xs), channels, channels, height, width)
    for (i, y), (j, x) in product(enumerate(ys), enumerate(xs)):
        inputs[i, j, :, :, y, x].fill_diagonal_(1)
    answers = _unshuffled(_without_biases(upsampler), inputs.flatten(0, 2))
    return answers.view(*inputs.shape[:3], *answers.shape[1:]), _unshuffled(
        upsampler, torch.zeros_like(inputs[0, 0, :1])
    )[0]


def _unshuffled(upsampler: Upsampler, x: Tensor) -> Tensor:
    """Upsample, then undo the PixelShuffles: (B, C, H, W) to (B, 3 * scale ** 2, H, W)."""
    return F.pixel_unshuffle(upsampler(x), math.prod(upsampler.factors))


def _without_biases(upsampler: Upsampler) -> Upsampler:
    """Copy an upsampler and set its biases to zero: what is left is linear."""
    linear = deepcopy(upsampler)
    for name, parameter in linear.named_parameters():
        if name.endswith("bias"):
            parameter.detach().zero_()
    return linear


def _impulses(edge: bool) -> tuple[int, list[int]]:
    """Return a canvas length and where impulses go: at an edge three, elsewhere one that no border disturbs."""
    return (EDGE, list(range(EDGE))) if edge else (2 * REACH + 3, [REACH + 1])


def _at(x: Tensor, place: Place, length: int) -> Tensor:
    """View the first or last rows and columns of a map; INNER takes all of them."""
    for axis, where in zip((2, 3), place, strict=True):
        if where != INNER:
            x = x.narrow(axis, 0 if where == FIRST else x.shape[axis] - length, length)
    return x


def _name(kind: str, place: Place) -> str:
    """Name the buffer of a place's kernel."""
    return f"{kind}_{place[0] + 1}{place[1] + 1}"
