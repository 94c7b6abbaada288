"""A CUDA graph of forward and backward: hundreds of small kernels started at once."""

from collections.abc import Callable

import torch
from torch import Tensor

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
