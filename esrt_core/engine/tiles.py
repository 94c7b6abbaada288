"""Landing: finished pixels on their way from the device to the host, while the device goes on.

Picture: one frame on its way through the engine, from tiles cut out of it to the finished planes.
"""

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

IN_FLIGHT = 1  # batches that may still be copied while the next one is computed


class AsyncCopies:
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
        self._write(IN_FLIGHT)

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

    def _write(self, in_flight: int) -> None:
        while len(self._batches) > in_flight:
            event, pieces = self._batches.popleft()
            if event is not None:
                event.synchronize()
            for piece, target in pieces:
                np.copyto(target, piece.numpy(), casting="unsafe")


class TiledFrame:
    """Cut a frame (without its alpha) into the tiles of a plan, take their results in order, give the larger planes.

    The plan may be for a larger size: the frame's last row and column are repeated, and cut off again at the end.
    """

    def __init__(self, frame: Frame, plan: Plan, copies: AsyncCopies) -> None:
        self.plan = plan
        self.computed = 0  # tiles of this picture that went through the network
        self._true_shapes = [plane.shape for plane in frame.planes]
        self._coding = Coding.of(frame)
        self._planes = _padded(frame, plan, self._coding)
        self._landing = copies
        self._layers = self._make_layers()

    @property
    def kind(self) -> str:
        """Name what a tile's result depends on besides its bytes."""
        return str(self._coding)

    @property
    def exact(self) -> bool:
        """Whether the depth asks for float32."""
        return self._coding.depth > 8

    def cut(self, index: int) -> tuple[Plane, ...]:
        """Return a tile's numbers; halved chroma with the samples around it."""
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
        """Turn tiles of this `kind` into the network's input (B, 3, h, w)."""
        return self._coding.decode(tiles, self._landing.device)

    def add(self, result: Tensor) -> None:
        """Take the next tile's result (3, H, W), in row-major order."""
        for layer, numbers in zip(self._layers, self._coding.encode(result), strict=True):
            layer.blender.add(numbers)

    def finished(self) -> tuple[Plane, ...]:
        """Return the larger planes, cut to their true size; everything has landed."""
        planes = [plane for layer in self._layers for plane in layer.planes]
        scale = self.plan.scale
        return tuple(
            np.ascontiguousarray(plane[: shape[0] * scale, : shape[1] * scale])
            for plane, shape in zip(planes, self._true_shapes, strict=True)
        )

    def _make_layers(self) -> list["OutputPlanes"]:
        """Make one layer for planes of equal size."""
        plan, coding, copies, dtype = self.plan, self._coding, self._landing, self._planes[0].dtype
        if coding.space == ColorSpace.RGB:
            return [OutputPlanes(plan.rows, plan.columns, plan.scale, coding, copies, dtype, interleaved=True)]
        layers = [OutputPlanes(plan.rows, plan.columns, plan.scale, coding, copies, dtype)]
        if coding.space == ColorSpace.YUV:
            rows, columns = (
                halved(axis) if half else axis
                for axis, half in zip((plan.rows, plan.columns), coding.halved, strict=True)
            )
            layers.append(OutputPlanes(rows, columns, plan.scale, coding, copies, dtype, count=2))
        return layers


class OutputPlanes:
    """Hold output planes of one size and the stitcher that fills them."""

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
        self._landing = copies

    def _write(self, top: int, left: int, piece: Tensor) -> None:
        if self.planes[0].ndim == 3:
            parts = [self._coding.round(piece.permute(1, 2, 0))]  # (H, W, C)
        else:
            parts = list(self._coding.round(piece))  # C times (H, W)
        for plane, part in zip(self.planes, parts, strict=True):
            self._landing.add(part, plane[top : top + part.shape[0], left : left + part.shape[1]])


def _padded(frame: Frame, plan: Plan, coding: Coding) -> list[Plane]:
    """Repeat the last row and column of every plane up to the plan's size."""
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
    """Return which chroma rows or columns go with luma [start, start + length); the border is repeated."""
    if not half:
        return np.arange(start, start + length)
    return np.arange(start // 2 - MARGIN, (start + length) // 2 + MARGIN).clip(0, size - 1)
