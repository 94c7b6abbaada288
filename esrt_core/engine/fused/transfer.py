"""Move tiles to a device of torch's and results back; on CUDA asynchronously, so that queued work continues."""

from collections import deque

import numpy as np
import torch
from torch import Tensor

from esrt_core.media.frame import Plane

BATCHES_IN_FLIGHT = 1  # that may still be copied while the next one is computed
_TYPES = {
    np.dtype(np.uint8): torch.uint8,
    np.dtype(np.uint16): torch.int32,  # torch cannot convert to uint16 everywhere
    np.dtype(np.float32): torch.float32,
    np.dtype(bool): torch.bool,
}


class DeviceTransfer:
    """Copy samples to a device, and pieces from it into planes in host memory.

    On CUDA copies are asynchronous; on other devices they are immediate.
    """

    rows = 2**31  # all: a GPU takes few large steps

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pieces: list[tuple[Tensor, Plane]] = []
        self._batches: deque[tuple[torch.cuda.Event | None, list[tuple[Tensor, Plane]]]] = deque()

    def to_device(self, planes: Plane) -> Tensor:
        """Return samples on the device in float32; for CUDA from pinned memory, so that the copy waits for nothing."""
        tensor = torch.from_numpy(planes)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True).float()
        return tensor.to(self._device).float()

    def to_host(self, piece: Tensor, target: Plane) -> None:
        """Start to copy a piece to the host; flush() guarantees that `target`, of the same shape, is written."""
        piece = piece.to(_TYPES[target.dtype]).contiguous()
        self._pieces.append((piece.to("cpu", non_blocking=self._device.type == "cuda"), target))

    def end_batch(self) -> None:
        """Mark the pieces of a batch as complete and write those of earlier batches."""
        self.mark_complete()
        self._write(BATCHES_IN_FLIGHT)

    def mark_complete(self) -> None:
        """Mark the pieces so far as complete, without waiting."""
        event = None
        if self._device.type == "cuda":
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        self._batches.append((event, self._pieces))
        self._pieces = []

    def flush(self) -> None:
        """Wait for all copies and write them."""
        self._write(0)

    def _write(self, in_flight: int) -> None:
        while len(self._batches) > in_flight:
            event, pieces = self._batches.popleft()
            if event is not None:
                event.synchronize()
            for piece, target in pieces:
                np.copyto(target, piece.numpy(), casting="unsafe")
