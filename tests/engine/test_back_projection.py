import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esrt_core.engine.back_projection import correct_colors


def enlarge(x: Tensor, scale: int) -> Tensor:
    return F.interpolate(x, scale_factor=scale, mode="nearest")


def test_a_flat_picture_keeps_its_color_whatever_the_network_made_of_it() -> None:
    torch.manual_seed(0)
    x = torch.tensor([0.0, 0.3, 1.0]).view(1, 3, 1, 1).expand(1, 3, 12, 17)
    y = enlarge(x, 3) + 0.1 * torch.randn(1, 3, 36, 51) + 0.05
    assert torch.allclose(correct_colors(x, y), enlarge(x, 3), atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_shift_of_all_colors_is_taken_back(scale: int) -> None:
    torch.manual_seed(0)
    x = 0.2 + 0.6 * torch.rand(2, 3, 20, 24)
    y = enlarge(x, scale)
    shifted = correct_colors(x, y + 0.04)
    assert (shifted.mean((2, 3)) - x.mean((2, 3))).abs().max() < 0.3 / 255


def test_clipping_does_not_move_the_mean() -> None:
    x = torch.ones(1, 3, 24, 24)
    x[:, :, ::3] = 0
    y = enlarge(x, 2) * 1.3 - 0.1  # overshoots on both sides, more of it above
    y[:, :, ::2] -= 0.2
    assert (correct_colors(x, y).mean((2, 3)) - x.mean((2, 3))).abs().max() < 2 / 255


def test_detail_is_left_alone() -> None:
    torch.manual_seed(0)
    x = 0.5 + 0.1 * torch.rand(1, 3, 24, 24)
    detail = 0.02 * torch.randn(1, 3, 24, 2, 24, 2)
    detail -= detail.mean((3, 5), keepdim=True)
    y = enlarge(x, 2) + detail.reshape(1, 3, 48, 48)
    assert torch.allclose(correct_colors(x, y), y, atol=1e-4)


def test_a_result_of_one_picture_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(5, 3, 12, 12), torch.rand(5, 3, 24, 24)
    assert torch.equal(correct_colors(x, y)[2:3], correct_colors(x[2:3], y[2:3]))
