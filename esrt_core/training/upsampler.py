"""Fit the upsamplers of a new scale by least squares, to what a trained body makes of pictures.

An upsampler is linear. So the best 3 x 3 convolution from the features to the pixels of the enlarged picture is the
solution of a linear system, and training starts from it instead of from random weights.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.engine.geometry import windows_of
from esrt_core.model.esrt import ESRT, Upsampler

RIDGE = 1e-7  # of the features' mean square: a feature that is always zero has a solution, too

Pair = tuple[Tensor, Tensor]
Total = Callable[[Tensor], Tensor]


@torch.no_grad()
def fit_upsamplers(network: ESRT, batches: Iterable[Pair], total: Total) -> None:
    """Set the upsamplers so that the squared error on the batches is smallest; the body stays as it is.

    A batch is LR (B, 3, H, W) and HR (B, 3, scale * H, scale * W), RGB in [0, 1]; `total` returns the sum of a tensor
    over all processes. `up` is fitted to HR, then `tail` to what `up` leaves. The px at the border, where a convolution
    sees the padding, count like all others: a picture has them too.
    """
    samples = []
    for lr, hr in batches:
        features = network.head(lr)
        refined = network.ltb(network.lcb(features), windows_of(*lr.shape[2:]))
        body = network.reduce(network.a1 * features + network.a2 * refined)
        samples.append((features, body, _pixels(hr, network.up.factors)))
    up = _least_squares(((_neighborhoods(features), truth) for features, _, truth in samples), total)
    _set(network.up, up)
    left = (
        (_neighborhoods(body), truth - F.relu(_neighborhoods(features) @ up.to(truth)))
        for features, body, truth in samples
    )
    _set(network.tail, _least_squares(left, total))


def _neighborhoods(features: Tensor) -> Tensor:
    """Return what a 3 x 3 convolution sees at each px, and a one for its bias: (N, 9 * C + 1)."""
    seen = F.unfold(features.contiguous(), 3, padding=1).mT.flatten(0, 1)
    return torch.cat([seen, torch.ones_like(seen[:, :1])], 1)


def _pixels(hr: Tensor, factors: tuple[int, ...]) -> Tensor:
    """Return the HR px of each LR px, in the order of the pixel shuffles: (N, 3 * scale**2)."""
    for factor in reversed(factors):
        hr = F.pixel_unshuffle(hr, factor)
    return hr.flatten(2).mT.flatten(0, 1)


def _least_squares(samples: Iterable[Pair], total: Total) -> Tensor:
    """Return the weights (9 * C + 1, values) that predict values (N, values) from neighborhoods (N, 9 * C + 1)."""
    squares, products = torch.zeros(()), torch.zeros(())
    for seen, truth in samples:
        precise = seen.cpu().double()
        squares = squares + precise.mT @ precise
        products = products + precise.mT @ truth.cpu().double()
    squares, products = total(squares), total(products)
    ridge = RIDGE * squares.diagonal().mean() * torch.eye(len(squares))
    solution: Tensor = torch.linalg.solve(squares + ridge, products)
    return solution


def _set(upsampler: Upsampler, weights: Tensor) -> None:
    """Make the first step compute the pixels, the others only shuffle them, and the last one take the first three.

    Between the two steps of x4 the pixels take 12 channels; networks have 16 or more. The channels that are left keep
    their random weights and do not count until training uses them.
    """
    first, *others = (step for step in upsampler.steps if isinstance(step, nn.Conv2d))
    count = weights.shape[1]
    first.weight[:count] = weights[:-1].mT.reshape(count, first.in_channels, 3, 3)
    assert first.bias is not None
    first.bias[:count] = weights[-1]
    for step, factor in zip(others, upsampler.factors[1:], strict=True):
        _pass_on(step, 3 * factor**2)
    _pass_on(upsampler.last, 3)


def _pass_on(convolution: nn.Conv2d, count: int) -> None:
    """Make the first `count` channels of a convolution's result those of its input."""
    channels = range(count)
    convolution.weight[channels] = 0
    convolution.weight[channels, channels, 1, 1] = 1
    if convolution.bias is not None:
        convolution.bias[:count] = 0
