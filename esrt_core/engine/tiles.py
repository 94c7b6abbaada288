"""A frame as tiles: cut tiles out of it, and assemble their results into planes by asynchronous copies to the host."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esrt_core.engine.blend import Blender
from esrt_core.engine.color import MARGIN, Coding
from esrt_core.engine.geometry import Axis, halved
from esrt_core.engine.plan import Plan
from esrt_core.media.frame import ColorSpace, Frame, Plane

BATCHES_IN_FLIGHT = 1  # that may still be copied while the next one is computed


class AsyncCopies:
    """Copy pieces from the device into planes in host memory.

    On CUDA copies are asynchronous, so that queued work continues meanwhile; on other devices they are immediate.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pieces: list[tuple[Tensor, Plane]] = []
        self._batches: deque[tuple[torch.cuda.Event | None, list[tuple[Tensor, Plane]]]] = deque()

    def enqueue(self, piece: Tensor, target: Plane) -> None:
        """Start to copy a piece to the host; flush() guarantees that `target`, of the same shape, is written."""
        self._pieces.append((piece.contiguous().to("cpu", non_blocking=self.device.type == "cuda"), target))

    def end_batch(self) -> None:
        """Mark the pieces of a batch as complete and write those of earlier batches."""
        self.mark_complete()
        self._write(BATCHES_IN_FLIGHT)

    def mark_complete(self) -> None:
        """Mark the pieces so far as complete, without waiting."""
        event = None
        if self.device.type == "cuda":
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


class TiledFrame:
    """Cut a frame, without its alpha, into the tiles of a plan and assemble the results into larger planes.

    If the plan is for a larger size, the frame's last row and column are repeated, and cropped at the end.
    """

    def __init__(self, frame: Frame, plan: Plan, copies: AsyncCopies) -> None:
        self.plan = plan
        self.computed = 0  # tiles of this picture that went through the network
        self._true_shapes = [plane.shape for plane in frame.planes]
        self._coding = Coding.from_frame(frame)
        self._planes = _pad(frame, plan, self._coding)
        self._copies = copies
        self._outputs = self._make_outputs()

    @property
    def format_key(self) -> str:
        """What a tile's result depends on besides its bytes."""
        return str(self._coding)

    @property
    def needs_fp32(self) -> bool:
        """Whether the depth requires float32."""
        return self._coding.depth > 8

    def cut(self, index: int) -> tuple[Plane, ...]:
        """Return a tile's samples, with those around halved chroma."""
        row, column = divmod(index, len(self.plan.columns.starts))
        (height, width), top, left = self.plan.tile_shape, self.plan.rows.starts[row], self.plan.columns.starts[column]
        first = np.ascontiguousarray(self._planes[0][top : top + height, left : left + width])
        rows, columns = (
            _chroma_span(start, length, plane_size, half)
            for start, length, plane_size, half in zip(
                (top, left), (height, width), self._planes[-1].shape, self._coding.halved, strict=False
            )
        )
        return first, *(plane[np.ix_(rows, columns)] for plane in self._planes[1:])

    def decode(self, tiles: Sequence[tuple[Plane, ...]]) -> Tensor:
        """Convert tiles with this `format_key` to the network's input (B, 3, h, w)."""
        return self._coding.decode(tiles, self._copies.device)

    def add(self, result: Tensor) -> None:
        """Add the result (3, H, W) of the next tile, in row-major order."""
        for output, samples in zip(self._outputs, self._coding.encode(result), strict=True):
            output.blender.add(samples)

    def finished(self) -> tuple[Plane, ...]:
        """Return the larger planes, cropped to their true size; all copies must be flushed."""
        planes = [plane for output in self._outputs for plane in output.planes]
        scale = self.plan.scale
        return tuple(
            np.ascontiguousarray(plane[: shape[0] * scale, : shape[1] * scale])
            for plane, shape in zip(planes, self._true_shapes, strict=True)
        )

    def _make_outputs(self) -> list["OutputPlanes"]:
        """Return one OutputPlanes for all planes of equal size."""
        plan, coding, copies, dtype = self.plan, self._coding, self._copies, self._planes[0].dtype
        if coding.space == ColorSpace.RGB:
            return [OutputPlanes(plan.rows, plan.columns, plan.scale, coding, copies, dtype, interleaved=True)]
        outputs = [OutputPlanes(plan.rows, plan.columns, plan.scale, coding, copies, dtype)]
        if coding.space == ColorSpace.YUV:
            rows, columns = (
                halved(axis) if half else axis
                for axis, half in zip((plan.rows, plan.columns), coding.halved, strict=True)
            )
            outputs.append(OutputPlanes(rows, columns, plan.scale, coding, copies, dtype, count=2))
        return outputs


class OutputPlanes:
    """Hold output planes of one size and the blender that fills them."""

    def __init__(
        self,
        rows: Axis,
        columns: Axis,
        scale: int,
        coding: Coding,
        copies: AsyncCopies,
        dtype: np.dtype[Any],
        count: int = 1,
        interleaved: bool = False,
    ) -> None:
        shape = (rows.size * scale, columns.size * scale, *((3,) if interleaved else ()))
        self.planes: list[Plane] = [np.empty(shape, dtype) for _ in range(count)]
        self.blender = Blender(rows, columns, scale, self._write)
        self._coding = coding
        self._copies = copies

    def _write(self, top: int, left: int, piece: Tensor) -> None:
        if self.planes[0].ndim == 3:
            parts = [self._coding.round(piece.permute(1, 2, 0))]  # (H, W, C)
        else:
            parts = list(self._coding.round(piece))  # C times (H, W)
        for plane, part in zip(self.planes, parts, strict=True):
            self._copies.enqueue(part, plane[top : top + part.shape[0], left : left + part.shape[1]])


def _pad(frame: Frame, plan: Plan, coding: Coding) -> list[Plane]:
    """Pad every plane to the plan's size by repeating its last row and column."""
    planes = []
    for index, plane in enumerate(frame.planes):
        height, width = (
            size // 2 if half and index else size
            for size, half in zip((plan.rows.size, plan.columns.size), coding.halved, strict=True)
        )
        pad = ((0, height - plane.shape[0]), (0, width - plane.shape[1]), (0, 0))[: plane.ndim]
        planes.append(np.pad(plane, pad, mode="edge") if any(after for _, after in pad) else plane)
    return planes


def _chroma_span(start: int, length: int, size: int, half: bool) -> NDArray[np.intp]:
    """Return the indices of the chroma rows or columns for luma [start, start + length), with a repeated border."""
    if not half:
        return np.arange(start, start + length)
    return np.arange(start // 2 - MARGIN, (start + length) // 2 + MARGIN).clip(0, size - 1)
