"""CUDA graphs of forward and backward, and of the update: hundreds of small kernels started at once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

WARM_UP = 3  # runs before the recording, as torch.cuda.CUDAGraph asks for

Compute = Callable[[Tensor, Tensor], Tensor]


class GradientGraph:
    """Replay `compute`, which takes LR and HR, leaves gradients in the parameters and returns the loss.

    The shapes are fixed. Every replay overwrites the same gradients, so they must not be set to None in between.
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
    """Replay the steps of optimisers whose gradients stay where they are and whose learning rates lie on the GPU."""

    def __init__(self, optimisers: Sequence[Optimizer]) -> None:
        self._optimisers = optimisers
        self._begun = False
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Update the parameters."""
        if not self._begun:  # the first step makes the optimisers' state and cannot be recorded
            self._begun = True
            self._step()
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._step()
        self._graph.replay()

    def _step(self) -> None:
        for optimiser in self._optimisers:
            optimiser.step()
