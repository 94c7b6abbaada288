"""The color correction in C, against the one in torch."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from esrt_core.architecture import SCALES
from esrt_core.engine.back_projection import correct_colors
from esrt_core.engine.native.library import Library

Tiles = NDArray[np.float32]


def drawn(scale: int, *shape: int) -> tuple[Tiles, Tiles]:
    """Return tiles of text-like contrast, and enlarged ones that overshoot."""
    draw = np.random.default_rng(3)
    x = (draw.random(shape) < 0.5).astype(np.float32) * 0.8 + draw.random(shape, np.float32) * 0.2
    x[..., : shape[3] // 2] = 0.4
    y = x.repeat(scale, 2).repeat(scale, 3) * np.float32(1.2) - np.float32(0.07)
    return x, y + np.float32(0.1) * draw.standard_normal(y.shape).astype(np.float32)


def corrected(library: Library, x: Tiles, y: Tiles, threads: int = 1) -> Tiles:
    y = y.copy()
    library.correct(x, y, y.shape[2] // x.shape[2], threads)
    return y


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("height", "width"), [(3, 3), (8, 5), (16, 40), (41, 37)])
def test_equals_the_correction_in_torch(library: Library, scale: int, height: int, width: int) -> None:
    x, y = drawn(scale, 2, 3, height, width)
    expected = correct_colors(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    got = corrected(library, x, y)
    assert np.abs(expected - y.clip(0, 1)).max() > 0.05
    assert np.abs(got - expected).max() < 2e-6
    assert got.min() >= 0
    assert got.max() <= 1


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_bytes_depend_on_the_tile_alone(library: Library, threads: int) -> None:
    x, y = drawn(4, 3, 3, 37, 26)
    each = [corrected(library, x[index : index + 1], y[index : index + 1]) for index in range(len(x))]
    assert np.array_equal(corrected(library, x, y, threads), np.concatenate(each))
