"""The upsampler composed into one 5 x 5 convolution. Reference: esrt_core.model.esrt.Upsampler."""

import math
from copy import deepcopy
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.fused.layers import FixedConv, convolve, to_float32
from esrt_core.model.esrt import Upsampler

REACH = 2  # LR px around an output that it depends on
EDGE = REACH + 1  # LR px along an axis that an output in the first or last row or column depends on
FIRST, INNER, LAST = -1, 0, 1  # position of a row or column in the picture

Position = tuple[int, int]  # (row, column), each FIRST, INNER or LAST
RING: tuple[Position, ...] = (  # the outermost pixels; corners come last because the edges overwrite them
    *((FIRST, INNER), (LAST, INNER), (INNER, FIRST), (INNER, LAST)),
    *product((FIRST, LAST), (FIRST, LAST)),
)


class ComposedUpsampler(nn.Module):
    """An upsampler without its PixelShuffle: (B, C, H, W) to (B, 3 * scale ** 2, H, W).

    Only PixelShuffles lie between its convolutions, so together they are one linear map: a 5 x 5 convolution whose
    weights are the responses of the upsampler to unit impulses. The outermost LR pixels have kernels of their own,
    because the upsampler pads its intermediate maps with zeros.
    """

    def __init__(self, upsampler: Upsampler) -> None:
        super().__init__()
        kernels = composed_kernels(upsampler)
        self.inner = FixedConv(*kernels.pop((INNER, INNER)))
        for position, (weight, bias) in kernels.items():
            self.register_buffer(
                _name("weight", position), to_float32(weight).contiguous(memory_format=torch.channels_last)
            )
            self.register_buffer(_name("bias", position), to_float32(bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map LR features to the input of PixelShuffle(scale)."""
        out: Tensor = self.inner(x)
        for position in RING:
            _at(out, position, 1).copy_(self._convolve(_at(x, position, EDGE), position))
        return out

    def _convolve(self, x: Tensor, position: Position) -> Tensor:
        down, right = (REACH if where == INNER else 0 for where in position)
        weight, bias = (self.get_buffer(_name(kind, position)) for kind in ("weight", "bias"))
        return convolve(x, weight, bias, (down, right))


def composed_kernels(upsampler: Upsampler) -> dict[Position, tuple[Tensor, Tensor]]:
    """Return weight (3 * scale ** 2, C, h, w) and bias for each position of a pixel; h and w are 5, or 3 at an edge."""
    kernels: dict[Position, tuple[Tensor, Tensor]] = {}
    for at_edge in product((False, True), (False, True)):
        responses, rest = _responses(upsampler, *at_edge)
        down_positions, right_positions = ((FIRST, LAST) if edge else (INNER,) for edge in at_edge)
        for position in product(down_positions, right_positions):
            (down, out_y), (right, out_x) = (_taps(where) for where in position)
            weight = responses[down[:, None], right, :, :, out_y[:, None], out_x]  # (h, w, C, D)
            kernels[position] = (weight.permute(3, 2, 0, 1), rest[:, out_y[0], out_x[0]])
    return kernels


def _taps(where: int) -> tuple[Tensor, Tensor]:
    """Return, for each tap of a kernel along one axis, the impulse and the output pixel from which it is read."""
    if where == INNER:  # one impulse, in the middle; the pixels around it respond
        return torch.zeros(2 * REACH + 1, dtype=torch.long), torch.arange(2 * REACH + 1, 0, -1)
    return torch.arange(EDGE), torch.full((EDGE,), 0 if where == FIRST else EDGE - 1)


def _responses(upsampler: Upsampler, edge_y: bool, edge_x: bool) -> tuple[Tensor, Tensor]:
    """Return the responses of an upsampler to unit impulses (y, x, C, D, H, W) and, apart, to zeros (D, H, W)."""
    like = upsampler.last.weight
    channels = like.shape[1]
    (height, ys), (width, xs) = (_impulses(edge) for edge in (edge_y, edge_x))
    inputs = like.new_zeros(len(ys), len(xs), channels, channels, height, width)
    for (i, y), (j, x) in product(enumerate(ys), enumerate(xs)):
        inputs[i, j, :, :, y, x].fill_diagonal_(1)
    responses = _unshuffled(_without_biases(upsampler), inputs.flatten(0, 2))
    return responses.view(*inputs.shape[:3], *responses.shape[1:]), _unshuffled(
        upsampler, torch.zeros_like(inputs[0, 0, :1])
    )[0]


def _unshuffled(upsampler: Upsampler, x: Tensor) -> Tensor:
    """Upsample x (B, C, H, W), then undo the PixelShuffles: (B, 3 * scale ** 2, H, W)."""
    return F.pixel_unshuffle(upsampler(x), math.prod(upsampler.factors))


def _without_biases(upsampler: Upsampler) -> Upsampler:
    """Return a copy of an upsampler with its biases set to zero, which makes it linear."""
    linear = deepcopy(upsampler)
    for name, parameter in linear.named_parameters():
        if name.endswith("bias"):
            parameter.detach().zero_()
    return linear


def _impulses(edge: bool) -> tuple[int, list[int]]:
    """Return the canvas length and the positions of the impulses: three at an edge, else one away from borders."""
    return (EDGE, list(range(EDGE))) if edge else (2 * REACH + 3, [REACH + 1])


def _at(x: Tensor, position: Position, length: int) -> Tensor:
    """Return a view of the first or last `length` rows and columns of a map; INNER keeps all of them."""
    for axis, where in zip((2, 3), position, strict=True):
        if where != INNER:
            x = x.narrow(axis, 0 if where == FIRST else x.shape[axis] - length, length)
    return x


def _name(kind: str, position: Position) -> str:
    """Return the name of the buffer for the kernel of a position."""
    return f"{kind}_{position[0] + 1}{position[1] + 1}"
