"""Adam, and Muon for the matrices."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

BETAS = (0.9, 0.99)
ADAM_BESIDE_MUON = 1e-3  # peak rate of what Muon does not take
MUON_DECAY = 0.1
EDGES = ("head.", "tail.last.", "up.last.")  # first and last convolutions

# Newton-Schulz coefficients by Keller Jordan, https://kellerjordan.github.io/posts/muon/
_A, _B, _C = 3.4445, -4.7750, 2.0315


def build_optimisers(network: nn.Module, kind: str, lr: float, weight_decay: float | None) -> list[Optimizer]:
    """Return the optimisers of all parameters that want gradients; every group's `peak` is its peak learning rate.

    `adam` takes all of them. `muon` takes the convolution and linear weights inside the network and leaves scalars,
    biases, slopes, norms, channel attention and the first and last convolutions to Adam.
    """
    named = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    if kind == "adam":
        return [_adam([value for _, value in named], lr, weight_decay or 0.0)]
    matrices = [value for name, value in named if is_matrix(name, value)]
    others = [value for name, value in named if not is_matrix(name, value)]
    decay = MUON_DECAY if weight_decay is None else weight_decay
    return [Muon(matrices, lr, decay), _adam(others, min(lr, ADAM_BESIDE_MUON), 0.0)]


def is_matrix(name: str, value: Tensor) -> bool:
    """Say whether Muon takes a parameter."""
    return value.ndim > 1 and ".ca." not in name and not name.startswith(EDGES)


def _adam(values: list[nn.Parameter], lr: float, weight_decay: float) -> Optimizer:
    adam = torch.optim.AdamW(values, lr=lr, betas=BETAS, weight_decay=weight_decay, fused=True)
    for group in adam.param_groups:
        group["peak"] = lr
    return adam


class Muon(Optimizer):
    """Orthogonalised Nesterov momentum with decoupled weight decay.

    A convolution counts as the matrix (out, in * k * k). The update has the root mean square of 0.2 that Adam's
    typically has (arXiv 2502.16982), so that learning rates compare. Without the decay the weights grow without end,
    and the learned scalars shrink to make up for it.
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
            torch._foreach_add_(values, directions, alpha=-group["lr"])

    def _directions(self, values: list[Tensor], momentum: float) -> list[Tensor]:
        """Return the update of each parameter; matrices of one shape are orthogonalised together."""
        by_shape: dict[torch.Size, list[int]] = {}
        nesterov = []
        for index, value in enumerate(values):
            assert value.grad is not None
            buffer = self.state[value].setdefault("momentum", torch.zeros_like(value))
            buffer.lerp_(value.grad, 1 - momentum)
            flat = value.grad.lerp(buffer, momentum).flatten(1)
            nesterov.append(flat)
            by_shape.setdefault(flat.shape, []).append(index)
        directions: list[Tensor] = [torch.empty(0)] * len(values)
        for shape, indices in by_shape.items():
            stacked = orthogonalise(torch.stack([nesterov[index] for index in indices])) * (0.2 * max(shape) ** 0.5)
            for index, direction in zip(indices, stacked, strict=True):
                directions[index] = direction.reshape(values[index].shape)
        return directions


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Return (N, rows, columns) with singular values near 1 and the same singular vectors, by Newton-Schulz steps."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result
