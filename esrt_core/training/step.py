"""One training step: forward, loss, backward, gradient clipping and update.

On a GPU, forward and backward are recorded as one CUDA graph and the update as another, so that hundreds of small
kernels are launched at once.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from esrt_core.engine.geometry import windows_of
from esrt_core.errors import TrainingError
from esrt_core.training.state import LossScale

WARM_UP = 3  # runs before recording, as torch.cuda.CUDAGraph requires
MAX_NORM = 1.0

Compute = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """Compute L1 plus `fft_weight` times the L1 of the spectra, or MSE, as a float32 scalar.

    Result and truth are (B, 3, H, W) in [0, 1]. The frequency term is that of MIMO-UNet (arXiv 2108.05054, eq. 4) with
    orthonormal transforms.
    """

    fft_weight: float = 0.0
    mse: bool = False

    def __call__(self, result: Tensor, truth: Tensor) -> Tensor:
        """Return the loss."""
        result = result.float()
        if self.mse:
            return F.mse_loss(result, truth)
        loss = F.l1_loss(result, truth)
        if self.fft_weight:
            spectrum = torch.fft.rfft2(result - truth, norm="ortho")
            loss = loss + self.fft_weight * torch.view_as_real(spectrum).abs().mean()
        return loss


@dataclass(frozen=True)
class StepResult:
    """Hold the loss of a step and the gradient norm before clipping."""

    loss: float
    norm: float

    @property
    def finite(self) -> bool:
        """Whether loss and norm are finite; otherwise no weight was changed."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class GradientGraph:
    """Record and replay `compute`, which maps LR and HR to the loss and leaves gradients in the parameters.

    The shapes are fixed. Every replay overwrites the same gradient tensors, so they must not be set to None in between.
    """

    def __init__(self, compute: Compute, lr: Tensor, hr: Tensor) -> None:
        self._lr, self._hr = lr.clone(), hr.clone()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                compute(self._lr, self._hr)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = compute(self._lr, self._hr)

    def __call__(self, lr: Tensor, hr: Tensor) -> Tensor:
        """Return the loss of a batch of the recorded shape."""
        self._lr.copy_(lr)
        self._hr.copy_(hr)
        self._graph.replay()
        return self._loss


class UpdateGraph:
    """Record and replay the steps of optimizers; gradients must keep their memory, learning rates be on the GPU."""

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self._optimizers = optimizers
        self._has_state = False
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Update the parameters."""
        if not self._has_state:  # the first step creates the optimizers' state and cannot be recorded
            self._has_state = True
            self._step()
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._step()
        self._graph.replay()

    def _step(self) -> None:
        for optimizer in self._optimizers:
            optimizer.step()


class Stepper:
    """Train a network, which may be wrapped for several processes, on batches of one shape.

    Attention uses the same windows as in inference. On a GPU CUDA graphs are replayed. If the batch does not fit into
    memory, it is split into `parts` (1, 2, 4, ...) and their gradients are accumulated.
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
        """Compute clipped gradients from LR (B, 3, H, W) and HR into the parameters; return loss and norm, (2,).

        A GPU may still be computing when this returns.
        """
        loss = self._gradients(lr, hr)
        gradients = [value.grad for value in self.trained if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients) / self.scale.factor
        torch._foreach_mul_(gradients, (MAX_NORM / (norm + 1e-6)).clamp(max=1.0) / self.scale.factor)
        return torch.stack([loss, norm])

    def finish(self, begun: Tensor, optimizers: Sequence[Optimizer]) -> StepResult:
        """Update the weights unless loss or norm are not finite; the optimizers must be the same in every call."""
        result = StepResult(*begun.tolist())
        if result.finite:
            self._update(optimizers)
        self.scale.adapt(result.finite)
        return result

    def _update(self, optimizers: Sequence[Optimizer]) -> None:
        if self._graph is None:  # every step has new gradient tensors
            for optimizer in optimizers:
                optimizer.step()
            return
        if self._update_graph is None:
            self._update_graph = UpdateGraph(optimizers)
        self._update_graph()

    def _gradients(self, lr: Tensor, hr: Tensor) -> Tensor:
        """Compute gradients into the parameters; return the loss."""
        while True:
            try:
                return self._replay(lr, hr) if self._can_record() else self._accumulate(lr, hr)
            except torch.OutOfMemoryError as error:
                if self._replicated or 2 * self.parts > len(lr):  # the other processes already wait for our gradients
                    raise TrainingError("the batch does not fit into memory; use a smaller --batch") from error
            self.parts *= 2
            self._graph = self._update_graph = None
            self._clear()
            torch.cuda.empty_cache()

    def _can_record(self) -> bool:
        return self.device.type == "cuda" and not self._replicated and self.parts == 1

    def _replay(self, lr: Tensor, hr: Tensor) -> Tensor:
        if self._graph is None:
            self._graph = GradientGraph(self._accumulate, lr, hr)
        return self._graph(lr, hr)

    def _accumulate(self, lr: Tensor, hr: Tensor) -> Tensor:
        """Accumulate the gradients of the parts of a batch; return the loss."""
        self._clear()
        total = torch.zeros((), device=self.device)
        pieces = list(zip(lr.chunk(self.parts), hr.chunk(self.parts), strict=True))
        for index, (small, large) in enumerate(pieces):
            with self._synchronized(index == len(pieces) - 1):
                loss = self._forward(small, large) * (len(small) / len(lr))
                (loss * self.scale.factor).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _forward(self, lr: Tensor, hr: Tensor) -> Tensor:
        result = self.network(lr, windows_of(*lr.shape[2:]))
        return self.loss(result, hr)

    def _synchronized(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Average gradients over the processes only with the last part."""
        if isinstance(self.network, DistributedDataParallel) and not last:
            return self.network.no_sync()
        return contextlib.nullcontext()

    def _clear(self) -> None:
        for value in self.trained:
            value.grad = None
