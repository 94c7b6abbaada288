import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from esrt_core.architecture import FACTORS, SCALES
from esrt_core.engine.native.composition import FIRST, INNER, LAST, Layer, composed_kernels
from esrt_core.engine.native.library import ALIGNMENT, Library, aligned_empty
from esrt_core.engine.native.packing import can_run, count_blocks, pack
from esrt_core.model.esrt import Upsampler
from tests.engine.native.conftest import drawn_network, named_weights


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("blocks", [1, 3])
def test_size_is_what_the_library_reads(library: Library, scale: int, blocks: int) -> None:
    weights = named_weights(drawn_network(scale, blocks=blocks))
    packed = pack(weights, scale)
    assert count_blocks(weights) == blocks
    assert packed.size == library.weights_size(scale, blocks)
    assert packed.ctypes.data % ALIGNMENT == 0


def layer_of(convolution: nn.Module) -> Layer:
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    return Layer(convolution.weight.detach().numpy(), convolution.bias.detach().numpy())


@pytest.mark.parametrize("scale", SCALES)
def test_composed_kernels_make_every_kind_of_pixel(scale: int) -> None:
    torch.manual_seed(1)
    upsampler = Upsampler(8, scale, bias=True).double()
    x = torch.rand(1, 8, 7, 9, dtype=torch.float64)
    with torch.inference_mode():
        expected = F.pixel_unshuffle(upsampler(x), scale)[0].permute(1, 2, 0).numpy()
    kernels = composed_kernels([layer_of(step) for step in upsampler.steps], layer_of(upsampler.last), FACTORS[scale])
    padded = np.pad(x[0].permute(1, 2, 0).numpy(), ((2, 2), (2, 2), (0, 0)))
    for y in range(7):
        for x_ in range(9):
            row = FIRST if y == 0 else LAST if y == 6 else INNER
            column = FIRST if x_ == 0 else LAST if x_ == 8 else INNER
            weight, bias = kernels[row, column].weight, kernels[row, column].bias
            top, left = y + (2 if row == FIRST else 0), x_ + (2 if column == FIRST else 0)
            patch = padded[top : top + weight.shape[0], left : left + weight.shape[1]]
            got = np.einsum("yxc,yxcd->d", patch, weight) + bias
            np.testing.assert_allclose(got, expected[y, x_], rtol=0, atol=1e-12)


def test_other_widths_are_not_taken() -> None:
    weights = dict(named_weights(drawn_network(2)))
    assert can_run(weights)
    assert not can_run(weights | {"head.weight": weights["head.weight"][:16]})
    assert not can_run({})


@pytest.mark.parametrize("count", [1, 17])
def test_memory_begins_at_a_cache_line(count: int) -> None:
    memory = aligned_empty(count)
    assert memory.size == count
    assert memory.dtype == np.float32
    assert memory.ctypes.data % ALIGNMENT == 0
