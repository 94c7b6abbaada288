"""One training step: forward, backward, clipping, update."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from esrt_core.engine.geometry import windows_of
from esrt_core.errors import TrainingError
from esrt_core.training.graph import GradientGraph, UpdateGraph
from esrt_core.training.loss import Loss
from esrt_core.training.scaling import LossScale

MAX_NORM = 1.0


@dataclass(frozen=True)
class StepResult:
    """Hold the loss of a step and the norm of its gradients before clipping."""

    loss: float
    norm: float

    @property
    def finite(self) -> bool:
        """Whether the step could be used; otherwise no weight was changed."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Stepper:
    """Train a network, perhaps wrapped for several processes, step by step on batches of one shape.

    Patches larger than the attention's windows are cut into windows as in inference.

    On a GPU a graph is replayed. When its memory does not suffice the batch is halved and the gradients of its parts
    are added up; `parts` says into how many.
    """

    def __init__(self, network: nn.Module, loss: Loss, device: torch.device, scale: LossScale, parts: int = 1) -> None:
        self.network = network
        self.loss = loss
        self.device = device
        self.scale = scale
        self.parts = parts
        self.trained = [value for value in network.parameters() if value.requires_grad]
        self._replicated = isinstance(network, DistributedDataParallel)
        self._graph: GradientGraph | None = None
        self._update_graph: UpdateGraph | None = None

    def begin(self, lr: Tensor, hr: Tensor) -> Tensor:
        """Leave the clipped gradients of LR (B, 3, H, W) and HR in the parameters; return loss and norm, (2,).

        A GPU may still be at work when this returns.
        """
        loss = self._gradients(lr, hr)
        gradients = [value.grad for value in self.trained if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients) / self.scale.factor
        torch._foreach_mul_(gradients, (MAX_NORM / (norm + 1e-6)).clamp(max=1.0) / self.scale.factor)
        return torch.stack([loss, norm])

    def finish(self, begun: Tensor, optimisers: Sequence[Optimizer]) -> StepResult:
        """Update the weights; they stay as they are when the loss or a gradient is not finite.

        The optimisers are the same in every step.
        """
        result = StepResult(*begun.tolist())
        if result.finite:
            self._update(optimisers)
        self.scale.adapt(result.finite)
        return result

    def _update(self, optimisers: Sequence[Optimizer]) -> None:
        if self._graph is None:  # gradients lie elsewhere after each step
            for optimiser in optimisers:
                optimiser.step()
            return
        if self._update_graph is None:
            self._update_graph = UpdateGraph(optimisers)
        self._update_graph()

    def _gradients(self, lr: Tensor, hr: Tensor) -> Tensor:
        """Leave fresh gradients in the parameters; return the loss."""
        while True:
            try:
                return self._graphed(lr, hr) if self._can_graph() else self._accumulated(lr, hr)
            except torch.OutOfMemoryError as error:
                if self._replicated or 2 * self.parts > len(lr):  # the other processes already wait for our gradients
                    raise TrainingError("The memory is too small for the batch; give a smaller --batch.") from error
            self.parts *= 2
            self._graph = self._update_graph = None
            self._clear()
            torch.cuda.empty_cache()

    def _can_graph(self) -> bool:
        return self.device.type == "cuda" and not self._replicated and self.parts == 1

    def _graphed(self, lr: Tensor, hr: Tensor) -> Tensor:
        if self._graph is None:
            self._graph = GradientGraph(self._accumulated, lr, hr)
        return self._graph(lr, hr)

    def _accumulated(self, lr: Tensor, hr: Tensor) -> Tensor:
        """Add up the gradients of the parts of a batch."""
        self._clear()
        total = torch.zeros((), device=self.device)
        pieces = list(zip(lr.chunk(self.parts), hr.chunk(self.parts), strict=True))
        for index, (small, large) in enumerate(pieces):
            with self._synchronised(index == len(pieces) - 1):
                loss = self._forward(small, large) * (len(small) / len(lr))
                (loss * self.scale.factor).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _forward(self, lr: Tensor, hr: Tensor) -> Tensor:
        result = self.network(lr, windows_of(*lr.shape[2:]))
        return self.loss(result, hr)

    def _synchronised(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Average gradients over the processes with the last part only."""
        if isinstance(self.network, DistributedDataParallel) and not last:
            return self.network.no_sync()
        return contextlib.nullcontext()

    def _clear(self) -> None:
        for value in self.trained:
            value.grad = None
