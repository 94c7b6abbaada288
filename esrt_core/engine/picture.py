"""Picture: one frame on its way through the engine, from tiles cut out of it to the finished planes."""

import dataclasses

import numpy as np
import torch
from torch import Tensor

from esrt_core.engine.colour import from_rgb, to_numbers, to_rgb
from esrt_core.engine.plan import Plan
from esrt_core.engine.stitch import Stitcher
from esrt_core.media.frame import ColorSpace, Frame, Plane


class Picture:
    """Cut a frame (without its alpha) into the tiles of a plan, take their results in order, give the larger frame."""

    def __init__(self, frame: Frame, plan: Plan, device: torch.device) -> None:
        self.plan = plan
        self._frame = _padded(frame, plan.rows.size, plan.columns.size)
        self._device = device
        size = (plan.rows.size * plan.scale, plan.columns.size * plan.scale)
        channels = (3,) if frame.space == ColorSpace.RGB else ()
        self._out: Plane = np.empty((*size, *channels), frame.planes[0].dtype)
        self._stitcher = Stitcher(plan.rows, plan.columns, plan.scale, self._write)

    @property
    def kind(self) -> str:
        """Name what a tile's result depends on besides its bytes."""
        return f"{self._frame.space} {self._frame.depth}"

    @property
    def exact(self) -> bool:
        """Whether the depth asks for float32."""
        return self._frame.depth > 8

    def cut(self, index: int) -> tuple[Plane, ...]:
        """Return a tile's pixels as views."""
        row, column = divmod(index, len(self.plan.columns.starts))
        (height, width), top, left = self.plan.tile_shape, self.plan.rows.starts[row], self.plan.columns.starts[column]
        return tuple(plane[top : top + height, left : left + width] for plane in self._frame.planes)

    def to_rgb(self, planes: tuple[Plane, ...]) -> Tensor:
        """Turn a tile into the network's input (3, h, w)."""
        return to_rgb(planes, self._frame, self._device)

    def add(self, result: Tensor) -> None:
        """Take the next tile's result (3, H, W), in row-major order."""
        self._stitcher.add(from_rgb(result, self._frame))

    def finished(self) -> tuple[Plane, ...]:
        """Return the planes of the larger frame, cut to its true size."""
        height, width = self.plan.height * self.plan.scale, self.plan.width * self.plan.scale
        return (np.ascontiguousarray(self._out[:height, :width]),)

    def _write(self, top: int, left: int, piece: Tensor) -> None:
        numbers = np.moveaxis(to_numbers(piece, self._frame), 0, -1)  # (H, W, C)
        area = self._out[top : top + piece.shape[1], left : left + piece.shape[2]]
        area[...] = numbers.reshape(area.shape)


def _padded(frame: Frame, height: int, width: int) -> Frame:
    """Repeat the last row and column until the frame has this size; leave out alpha."""
    pad = ((0, height - frame.height), (0, width - frame.width))
    if pad == ((0, 0), (0, 0)):
        return dataclasses.replace(frame, alpha=None)
    planes = tuple(np.pad(plane, (*pad, (0, 0))[: plane.ndim], mode="edge") for plane in frame.planes)
    return dataclasses.replace(frame, planes=planes, alpha=None)
