"""One training step: forward, backward, clipping, update."""

import contextlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from esrt_core.training.loss import Loss

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
    """Train a network, possibly wrapped for several processes, by one step at a time.

    The forward pass runs in bfloat16 on a GPU, weights and loss stay float32. When the GPU's memory does not suffice
    the batch is halved and the gradients of its parts are added up; `parts` says into how many.
    """

    def __init__(self, network: nn.Module, loss: Loss, device: torch.device, parts: int = 1) -> None:
        self.network = network
        self.loss = loss
        self.device = device
        self.parts = parts
        self.trained = [value for value in network.parameters() if value.requires_grad]

    def step(self, batch: tuple[Tensor, Tensor], optimisers: list[Optimizer]) -> StepResult:
        """Train on LR (B, 3, H, W) and HR; weights stay as they are when the loss or a gradient is not finite."""
        loss = self._gradients(*batch)
        norm = torch.nn.utils.clip_grad_norm_(self.trained, MAX_NORM)
        values = torch.stack([loss, norm]).tolist()
        result = StepResult(*values)
        if result.finite:
            for optimiser in optimisers:
                optimiser.step()
        return result

    def _gradients(self, lr: Tensor, hr: Tensor) -> Tensor:
        """Leave fresh gradients in the parameters; return the loss."""
        while True:
            try:
                return self._accumulate(lr, hr)
            except torch.OutOfMemoryError:
                if 2 * self.parts > len(lr):
                    raise
                self.parts *= 2
                self._clear()
                torch.cuda.empty_cache()

    def _accumulate(self, lr: Tensor, hr: Tensor) -> Tensor:
        self._clear()
        total = torch.zeros((), device=self.device)
        pieces = list(zip(lr.chunk(self.parts), hr.chunk(self.parts), strict=True))
        for index, (small, large) in enumerate(pieces):
            last = index == len(pieces) - 1
            with self._synchronised(last):
                loss = self._forward(small, large) * (len(small) / len(lr))
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _forward(self, lr: Tensor, hr: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            result = self.network(lr)
        return self.loss(result, hr)

    def _synchronised(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Average gradients over the processes with the last part only."""
        if isinstance(self.network, DistributedDataParallel) and not last:
            return self.network.no_sync()
        return contextlib.nullcontext()

    def _clear(self) -> None:
        for value in self.trained:
            value.grad = None
