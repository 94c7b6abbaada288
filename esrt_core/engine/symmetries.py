"""The eight flips and rotations of a picture, for --tta."""

from esrt_core.engine.arrays import Array, namespace

COUNT = 8


def symmetries(tta: bool) -> range:
    """Return the symmetries to average: all eight, or only 0, which changes nothing."""
    return range(COUNT if tta else 1)


def transformed(x: Array, symmetry: int) -> Array:
    """Apply a symmetry to x (B, C, H, W): the bits of `symmetry` flip rows, flip columns, transpose."""
    axes = _flipped_axes(symmetry)
    x = namespace(x).flip(x, axes) if axes else x
    return namespace(x).moveaxis(x, 2, 3) if symmetry & 4 else x


def restored(x: Array, symmetry: int) -> Array:
    """Undo transformed()."""
    x = namespace(x).moveaxis(x, 2, 3) if symmetry & 4 else x
    axes = _flipped_axes(symmetry)
    return namespace(x).flip(x, axes) if axes else x


def _flipped_axes(symmetry: int) -> tuple[int, ...]:
    return tuple(axis for bit, axis in ((1, 2), (2, 3)) if symmetry & bit)
