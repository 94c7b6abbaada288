"""Landing: finished pixels on their way from the device to the host, while the device goes on."""

from collections import deque

import numpy as np
import torch
from torch import Tensor

from esrt_core.media.frame import Plane

UNDER_WAY = 1  # batches that may still be copied while the next one is computed


class Landing:
    """Write pieces into planes of the host once their copies have arrived.

    On CUDA a copy is only asked for, and what is queued behind it goes on meanwhile; elsewhere it is there at once.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pieces: list[tuple[Tensor, Plane]] = []
        self._batches: deque[tuple[torch.cuda.Event | None, list[tuple[Tensor, Plane]]]] = deque()

    def add(self, piece: Tensor, target: Plane) -> None:
        """Copy a piece to the host; it gets into `target`, of the same shape and type, by settle()."""
        self._pieces.append((piece.contiguous().to("cpu", non_blocking=self.device.type == "cuda"), target))

    def close_batch(self) -> None:
        """Say that the pieces of a batch are complete; write those of earlier batches."""
        self.close()
        self._write(UNDER_WAY)

    def close(self) -> None:
        """Say that the pieces so far are complete, and wait for nothing."""
        event = None
        if self.device.type == "cuda":
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        self._batches.append((event, self._pieces))
        self._pieces = []

    def settle(self) -> None:
        """Write what is left."""
        self._write(0)

    def _write(self, under_way: int) -> None:
        while len(self._batches) > under_way:
            event, pieces = self._batches.popleft()
            if event is not None:
                event.synchronize()
            for piece, target in pieces:
                np.copyto(target, piece.numpy(), casting="unsafe")
