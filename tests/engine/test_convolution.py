import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esrt_core.engine.fast.convolution import SIZES, takes
from esrt_core.engine.fast.layers import FixedClamp, FixedConv, FixedPReLU
from tests.engine.processors import forgotten, processor

__all__ = ["forgotten", "processor"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("kernel", SIZES)
@pytest.mark.parametrize("channels", [(16, 16), (32, 12), (16, 32), (32, 48), (96, 27), (32, 144), (256, 16)])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (4, 4), (5, 3), (6, 13), (25, 31)])
def test_the_kernel_convolves(kernel: int, channels: tuple[int, int], size: tuple[int, int]) -> None:
    inputs, outputs = channels
    x = channels_last(noise(2, inputs, *size))
    weight, bias = noise(outputs, inputs, kernel, kernel, seed=1) / (kernel * inputs**0.5), noise(outputs, seed=2)
    conv = FixedConv(weight, bias)
    assert takes(x, conv.weight)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=kernel // 2)
    got = conv(x)
    assert got.stride(1) == 1
    assert (got - expected).abs().max() < 2e-5


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize(
    "act", [None, FixedPReLU(noise(32)), FixedPReLU(noise(1)), FixedClamp(True), FixedClamp(False)]
)
def test_what_follows_is_the_same_as_by_torch(
    act: FixedPReLU | FixedClamp | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, residual = channels_last(noise(1, 16, 7, 9)), channels_last(noise(1, 32, 7, 9, seed=3))
    conv = FixedConv(noise(32, 16, 3, 3, seed=1) / 12, act=act)
    ours = [conv(x), conv(x, residual), conv(x, residual, -0.7)]
    monkeypatch.setattr("esrt_core.engine.fast.compiled.load_kernel", lambda name: None)
    assert not takes(x, conv.weight)
    for got, expected in zip(ours, [conv(x), conv(x, residual), conv(x, residual, -0.7)], strict=True):
        assert (got - expected).abs().max() < 1e-5


@pytest.mark.usefixtures("processor")
def test_the_kernel_depends_neither_on_the_batch_nor_on_the_threads() -> None:
    x = channels_last(noise(3, 32, 21, 18))
    conv = FixedConv(noise(16, 32, 3, 3, seed=1))
    whole = conv(x)
    assert torch.equal(whole[1:2], conv(x[1:2]))
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            assert torch.equal(whole, conv(x))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("act", [None, FixedPReLU(noise(16)), FixedClamp(True)])
def test_what_is_no_number_stays_so(act: FixedPReLU | FixedClamp | None) -> None:
    x = channels_last(noise(1, 16, 6, 6))
    x[0, 3, 2, 2] = torch.nan
    got = FixedConv(noise(16, 16, 3, 3, seed=1), act=act)(x)
    assert got[0, :, 1:4, 1:4].isnan().all()
    weight = noise(16, 16, 3, 3, seed=1)
    weight[5, 0, 0, 0] = torch.nan
    assert FixedConv(weight, act=act)(channels_last(noise(1, 16, 6, 6)))[0, 5].isnan().all()


@pytest.mark.usefixtures("processor")
def test_planes_and_gaps_are_understood() -> None:
    x, residual = noise(2, 32, 6, 20), noise(2, 16, 6, 10)
    conv = FixedConv(noise(16, 32, 3, 3, seed=1))
    expected = conv(channels_last(x[..., ::2].clone()), channels_last(residual))
    assert torch.equal(conv(x[..., ::2], residual), expected)


def test_torch_convolves_what_the_kernel_does_not_take() -> None:
    x = channels_last(noise(1, 24, 8, 8))
    for inputs, size in ((24, 3), (272, 3), (16, 1), (16, 7)):
        assert not takes(x, noise(32, inputs, size, size))
    assert not takes(x, noise(12, 16, 3, 3), residual=noise(1, 12, 8, 8))
    assert not takes(x.bfloat16(), noise(16, 16, 3, 3).bfloat16())
    conv = FixedConv(noise(32, 24, 3, 3, seed=1))
    assert torch.allclose(conv(x), F.conv2d(x, conv.weight, padding=1), atol=1e-4)
