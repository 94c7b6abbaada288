import numpy as np
import pytest
import torch

from esrt_core.engine.chroma import MARGIN, enlarge, halve


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("dim", [1, 2])
def test_a_straight_slope_survives_both_ways(left: bool, dim: int) -> None:
    luma_positions = torch.arange(16.0).expand(1, 3, -1)
    where = torch.arange(-MARGIN, 8 + MARGIN) * 2 + (0.0 if left else 0.5)  # of the chroma samples, in luma samples
    chroma = where.expand(1, 3, -1)
    if dim == 1:
        luma_positions, chroma = luma_positions.transpose(1, 2), chroma.transpose(1, 2)
    assert torch.equal(enlarge(chroma, dim, left), luma_positions)
    inner = halve(luma_positions, dim, left).narrow(dim, 1, 6)
    assert torch.equal(inner, chroma.narrow(dim, MARGIN + 1, 6))


def test_a_constant_stays_exact() -> None:
    x = torch.full((2, 6, 10), float(np.float32(0.3)))
    for left in (False, True):
        assert (halve(halve(x, 1, left), 2, left) == x[0, 0, 0]).all()
        assert (enlarge(x, 2, left) == x[0, 0, 0]).all()
