"""Blend overlapping tiles into finished pixels, without a float copy of the whole picture."""

from collections.abc import Callable

from esrt_core.engine.arrays import Array, along, namespace
from esrt_core.engine.geometry import Axis, Overlap

Write = Callable[[int, int, Array], None]  # top, left, (C, H, W)


class Blender:
    """Blend tiles with their neighbors and write pixels as soon as they are final.

    Tiles are added in row-major order, each (C, rows' length * scale, columns' length * scale). Across every seam the
    weight of the earlier tile falls linearly from 1 to 0 and the weights sum to 1, so equal values do not change. Only
    the last tile's right seam and one row of bottom seams are kept. `write` is called once per finished piece. The
    seams are blended inside the tiles, which therefore change.
    """

    def __init__(self, rows: Axis, columns: Axis, scale: int, write: Write) -> None:
        self._rows = rows
        self._columns = columns
        self._scale = scale
        self._write = write
        self._next = 0
        self._right: Array | None = None  # the last tile's px in the seam to its right
        self._below: dict[int, Array] = {}  # by column: the px in the seam to the row below

    def add(self, tile: Array) -> None:
        """Add the next tile."""
        row, column = divmod(self._next, len(self._columns.starts))
        self._next += 1
        piece = self._crop(tile, row, column)
        piece, self._right = self._fade(piece, 2, self._columns, column, self._right)
        piece, below = self._fade(piece, 1, self._rows, row, self._below.pop(column, None))
        if below is not None:
            self._below[column] = below
        self._write(self._rows.span(row)[0] * self._scale, self._columns.span(column)[0] * self._scale, piece)

    def _crop(self, tile: Array, row: int, column: int) -> Array:
        """Crop a tile to its own area and its seams."""
        (top, bottom), (left, right) = (self._local(self._rows, row), self._local(self._columns, column))
        return tile[:, top:bottom, left:right]

    def _local(self, axis: Axis, index: int) -> tuple[int, int]:
        start, stop = axis.span(index)
        return (start - axis.starts[index]) * self._scale, (stop - axis.starts[index]) * self._scale

    def _fade(
        self, piece: Array, axis: int, tiling: Axis, index: int, before: Array | None
    ) -> tuple[Array, Array | None]:
        """Blend the seam before a piece and split off the seam after it; return the piece and that seam."""
        if before is not None:
            seam = piece[along(axis, 0, before.shape[axis])]
            seam[...] = before + _weights(before.shape[axis], axis, piece) * (seam - before)
        if index == len(tiling.overlaps):
            return piece, None
        kept = piece.shape[axis] - _length(tiling.overlaps[index]) * self._scale
        rest = namespace(piece).asarray(piece[along(axis, kept)], copy=True)  # without the whole tile's memory
        return piece[along(axis, 0, kept)], rest


def _length(overlap: Overlap) -> int:
    return overlap.stop - overlap.start


def _weights(width: int, axis: int, like: Array) -> Array:
    """Return the later tile's weights across a seam: the centers of `width` equal steps from 0 to 1."""
    feather = (namespace(like).arange(width, device=like.device, dtype=like.dtype) + 0.5) / max(width, 1)
    return feather[:, None] if axis == 1 else feather
