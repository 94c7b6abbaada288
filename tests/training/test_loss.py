import pytest
import torch

from esrt_core.training.loss import Loss


def test_l1_and_mse_are_the_means_of_the_differences() -> None:
    a, b = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)
    assert Loss()(a, b).item() == 0.5
    assert Loss(mse=True)(a, b).item() == 0.25


def test_the_frequency_term_weighs_a_regular_error_more_than_a_random_one() -> None:
    torch.manual_seed(0)
    truth = torch.zeros(1, 3, 16, 16)
    noise = torch.sign(torch.randn(truth.shape))
    ramp = torch.ones_like(truth)
    loss = Loss(fft_weight=1.0)
    assert loss(noise, truth) > loss(ramp, truth) > 1.0


def test_the_loss_of_half_precision_is_computed_in_single() -> None:
    loss = Loss()(torch.ones(1, 3, 4, 4, dtype=torch.bfloat16), torch.full((1, 3, 4, 4), 0.999))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.001, abs=1e-6)
