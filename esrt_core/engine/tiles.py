"""A frame as tiles: cut tiles out of it, and assemble their results into planes."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from esrt_core.engine.arrays import Array, namespace
from esrt_core.engine.blend import Blender
from esrt_core.engine.color import MARGIN, Coding
from esrt_core.engine.geometry import Axis, halved
from esrt_core.engine.plan import Plan
from esrt_core.media.frame import ColorSpace, Frame, Plane


class Transfer(Protocol):
    """Move the tiles of some pictures to the device that computes, and finished pieces back into planes on the host.

    rows  of a piece that are rounded and copied at once.
    """

    rows: int

    def to_device(self, planes: Plane) -> Array:
        """Return samples on the device in float32."""

    def to_host(self, piece: Array, target: Plane) -> None:
        """Copy a piece to `target`, of the same shape, and to its type; flush() guarantees that it is written."""

    def end_batch(self) -> None:
        """Mark the pieces of a batch as complete."""

    def flush(self) -> None:
        """Wait until all pieces are written."""


class QueuingTransfer(Transfer, Protocol):
    """A transfer from a device that works through a queue."""

    def mark_complete(self) -> None:
        """Mark the pieces so far as complete, without waiting."""


class HostTransfer:
    """Hand over tiles and pieces in the memory in which they are."""

    rows = 32  # few enough that they stay in the processor's cache

    def to_device(self, planes: Plane) -> NDArray[np.float32]:
        """Return samples in float32."""
        return planes.astype(np.float32)

    def to_host(self, piece: Array, target: Plane) -> None:
        """Copy a piece at once."""
        np.copyto(target, piece, casting="unsafe")

    def end_batch(self) -> None:
        """Do nothing: all pieces are written."""

    def flush(self) -> None:
        """Do nothing: all pieces are written."""


class TiledFrame:
    """Cut a frame, without its alpha, into the tiles of a plan and assemble the results into larger planes.

    If the plan is for a larger size, the frame's last row and column are repeated, and cropped at the end.
    """

    def __init__(self, frame: Frame, plan: Plan, transfer: Transfer) -> None:
        self.plan = plan
        self.computed = 0  # tiles of this picture that went through the network
        self._true_shapes = [plane.shape for plane in frame.planes]
        self._coding = Coding.from_frame(frame)
        self._planes = _pad(frame, plan, self._coding)
        self._transfer = transfer
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

    def decode(self, tiles: Sequence[tuple[Plane, ...]]) -> Array:
        """Convert tiles with this `format_key` to the network's input (B, 3, h, w)."""
        return self._coding.decode([self._transfer.to_device(np.stack(planes)) for planes in zip(*tiles, strict=True)])

    def add(self, result: Array) -> None:
        """Add the result (3, H, W) of the next tile, in row-major order."""
        for output, samples in zip(self._outputs, self._coding.encode(result), strict=True):
            output.blender.add(samples)

    def finished(self) -> tuple[Plane, ...]:
        """Return the larger planes, cropped to their true size; the transfer must be flushed."""
        planes = [plane for output in self._outputs for plane in output.planes]
        scale = self.plan.scale
        return tuple(
            np.ascontiguousarray(plane[: shape[0] * scale, : shape[1] * scale])
            for plane, shape in zip(planes, self._true_shapes, strict=True)
        )

    def _make_outputs(self) -> list["OutputPlanes"]:
        """Return one OutputPlanes for all planes of equal size."""
        plan, coding, transfer, dtype = self.plan, self._coding, self._transfer, self._planes[0].dtype
        if coding.space == ColorSpace.RGB:
            return [OutputPlanes(plan.rows, plan.columns, plan.scale, coding, transfer, dtype, interleaved=True)]
        outputs = [OutputPlanes(plan.rows, plan.columns, plan.scale, coding, transfer, dtype)]
        if coding.space == ColorSpace.YUV:
            rows, columns = (
                halved(axis) if half else axis
                for axis, half in zip((plan.rows, plan.columns), coding.halved, strict=True)
            )
            outputs.append(OutputPlanes(rows, columns, plan.scale, coding, transfer, dtype, count=2))
        return outputs


class OutputPlanes:
    """Hold output planes of one size and the blender that fills them."""

    def __init__(
        self,
        rows: Axis,
        columns: Axis,
        scale: int,
        coding: Coding,
        transfer: Transfer,
        dtype: np.dtype[Any],
        count: int = 1,
        interleaved: bool = False,
    ) -> None:
        shape = (rows.size * scale, columns.size * scale, *((3,) if interleaved else ()))
        self.planes: list[Plane] = [np.empty(shape, dtype) for _ in range(count)]
        self.blender = Blender(rows, columns, scale, self._write)
        self._coding = coding
        self._transfer = transfer

    def _write(self, top: int, left: int, piece: Array) -> None:
        for start in range(0, piece.shape[1], self._transfer.rows):
            rounded = self._coding.round(piece[:, start : start + self._transfer.rows])  # (C, H, W)
            parts = [namespace(rounded).moveaxis(rounded, 0, 2)] if self.planes[0].ndim == 3 else rounded
            for plane, part in zip(self.planes, parts, strict=True):
                rows, columns = part.shape[:2]
                self._transfer.to_host(part, plane[top + start : top + start + rows, left : left + columns])


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
