"""Optimizers: Adam for all parameters, or Muon for the matrices and Adam for the rest."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

BETAS = (0.9, 0.99)
ADAM_BESIDE_MUON = 1e-3  # peak learning rate of the parameters that Muon does not optimize
MUON_DECAY = 0.1
EDGES = ("head.", "tail.last.", "up.last.")  # the first and the last convolutions

# Newton-Schulz coefficients by Keller Jordan, https://kellerjordan.github.io/posts/muon/
_A, _B, _C = 3.4445, -4.7750, 2.0315


def build_optimizers(network: nn.Module, kind: str, lr: float, weight_decay: float | None) -> list[Optimizer]:
    """Return the optimizers of all parameters that require gradients; every group's `peak` is its peak learning rate.

    `kind` "adam" uses Adam for all of them. "muon" uses Muon for the convolution and linear weights inside the network
    and Adam for scalars, biases, slopes, norms, channel attention and the first and last convolutions.
    """
    named = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    if kind == "adam":
        optimizers = [_adam([value for _, value in named], lr, weight_decay or 0.0)]
    else:
        optimizers = _muon(named, lr, MUON_DECAY if weight_decay is None else weight_decay)
    move_rates(optimizers)
    return optimizers


def _muon(named: list[tuple[str, nn.Parameter]], lr: float, weight_decay: float) -> list[Optimizer]:
    matrices = [value for name, value in named if is_matrix(name, value)]
    others = [value for name, value in named if not is_matrix(name, value)]
    return [Muon(matrices, lr, weight_decay), _adam(others, min(lr, ADAM_BESIDE_MUON), 0.0)]


def is_matrix(name: str, value: Tensor) -> bool:
    """Return whether Muon optimizes a parameter."""
    return value.ndim > 1 and ".ca." not in name and not name.startswith(EDGES)


def set_rates(optimizers: Sequence[Optimizer], factor: float) -> None:
    """Set every group's learning rate to `factor` times its peak.

    On a GPU the rate is updated in place, so that a recorded CUDA graph reads the current value.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            rate = group["peak"] * factor
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def move_rates(optimizers: Sequence[Optimizer]) -> None:
    """Move the learning rates to the parameters' device, as needed after loading a state from another device."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            device, rate = group["params"][0].device, float(group["lr"])
            on_gpu = device.type == "cuda"
            group["lr"] = torch.tensor(rate, device=device) if on_gpu else rate
            if "capturable" in group:
                group["capturable"] = on_gpu


def _adam(values: list[nn.Parameter], lr: float, weight_decay: float) -> Optimizer:
    adam = torch.optim.AdamW(values, lr=lr, betas=BETAS, weight_decay=weight_decay, fused=True)
    for group in adam.param_groups:
        group["peak"] = lr
    return adam


class Muon(Optimizer):
    """Orthogonalized Nesterov momentum with decoupled weight decay.

    A convolution is treated as the matrix (out, in * k * k). The update has a root mean square of 0.2, as Adam's
    typically has (arXiv 2502.16982), so that learning rates are comparable. Without weight decay the weights grow
    without bound and the learned scalars shrink to compensate.
    """

    def __init__(self, values: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.9) -> None:
        super().__init__(values, {"lr": lr, "peak": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            values = [value for value in group["params"] if value.grad is not None]
            if not values:
                continue
            directions = self._directions(values, group["momentum"])
            torch._foreach_mul_(values, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_mul_(directions, group["lr"])
            torch._foreach_sub_(values, directions)

    def _directions(self, values: list[Tensor], momentum: float) -> list[Tensor]:
        """Return the update of each parameter; matrices of one shape are orthogonalized together."""
        gradients = [value.grad for value in values if value.grad is not None]
        buffers = [self._momentum(value) for value in values]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        nesterov = [x.flatten(1) for x in torch._foreach_lerp(gradients, buffers, momentum)]
        by_shape: dict[torch.Size, list[int]] = {}
        for index, flat in enumerate(nesterov):
            by_shape.setdefault(flat.shape, []).append(index)
        directions: list[Tensor] = [torch.empty(0)] * len(values)
        for shape, indices in by_shape.items():
            stacked = orthogonalize(torch.stack([nesterov[index] for index in indices])) * (0.2 * max(shape) ** 0.5)
            for index, direction in zip(indices, stacked, strict=True):
                directions[index] = direction.reshape(values[index].shape)
        return directions

    def _momentum(self, value: Tensor) -> Tensor:
        state = self.state[value]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(value)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Return (N, rows, columns) with the same singular vectors and singular values near 1, by Newton-Schulz steps."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    result: Tensor = x.mT if tall else x
    return result
