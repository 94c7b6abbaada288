import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esrt_core.engine.fused import kernels
from esrt_core.engine.fused.kernels import ARGUMENTS, DIM, FOLDER, SIZES, is_supported, kernel_attention, load_kernel
from esrt_core.engine.fused.layers import FixedClamp, FixedConv, FixedPReLU
from esrt_core.model.transformer import attention
from tests.engine.processors import forgotten, processor


@pytest.mark.parametrize("name", ARGUMENTS)
def test_other_processors_have_no_kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert load_kernel(name) is None


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_library_compiled_from_another_source_is_not_used(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for file in FOLDER.glob(f"{name}*"):
        if file.suffix in (".c", ".so"):
            shutil.copy(file, tmp_path)
    monkeypatch.setattr(kernels, "FOLDER", tmp_path)
    load_kernel.cache_clear()
    assert load_kernel(name) is not None
    with (tmp_path / f"{name}.c").open("a") as source:
        source.write("\n")
    load_kernel.cache_clear()
    assert load_kernel(name) is None


__all__ = ["forgotten", "processor"]
HEADS = 8


def random_qkv(batch: int, length: int) -> Tensor:
    return torch.randn(batch, length, 3 * HEADS * DIM, generator=torch.Generator().manual_seed(length))


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("length", [1, 5, 6, 7, 31, 32, 33, 48, 49, 97, 576])
def test_the_kernel_computes_what_torch_does(length: int) -> None:
    qkv = random_qkv(2, length)
    expected = attention(qkv.double(), HEADS, 1 / 6)
    assert (kernel_attention(qkv, HEADS, 1 / 6) - expected).abs().max() < 3e-6


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_scores_far_from_zero_are_no_trouble(offset: float) -> None:
    qkv = random_qkv(1, 40)
    qkv[..., 0] = 1  # of a query, and of no other channel that meets it
    qkv[..., HEADS * DIM] = offset
    qkv[0, 3, HEADS * DIM] += 50
    out = kernel_attention(qkv, HEADS, 1.0)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out, attention(qkv.double(), HEADS, 1.0).float(), rtol=0, atol=5e-3)


@pytest.mark.usefixtures("processor")
def test_what_is_no_number_stays_so() -> None:
    qkv = random_qkv(1, 40)
    qkv[0, 7, HEADS * DIM] = torch.nan  # of a key, which every query of its head meets
    out = kernel_attention(qkv, HEADS, 0.2)
    assert out[0, :, :DIM].isnan().all()
    assert out[0, :, DIM:].isfinite().all()


@pytest.mark.usefixtures("processor")
def test_the_kernel_depends_neither_on_the_batch_nor_on_the_threads() -> None:
    qkv = random_qkv(3, 50)
    whole = kernel_attention(qkv, HEADS, 0.2)
    assert torch.equal(whole[1:2], kernel_attention(qkv[1:2], HEADS, 0.2))
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            assert torch.equal(whole, kernel_attention(qkv, HEADS, 0.2))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.usefixtures("processor")
def test_gaps_and_bfloat16_are_understood() -> None:
    qkv = random_qkv(2, 30)
    assert torch.equal(kernel_attention(qkv[:, 10:], HEADS, 0.2), kernel_attention(qkv[:, 10:].clone(), HEADS, 0.2))
    half = kernel_attention(qkv.bfloat16(), HEADS, 0.2)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, kernel_attention(qkv.bfloat16().float(), HEADS, 0.2).bfloat16())


def test_torch_attends_where_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    qkv = random_qkv(2, 20)
    assert torch.equal(kernel_attention(qkv, HEADS, 0.2), attention(qkv, HEADS, 0.2))


def test_torch_attends_with_heads_of_another_width() -> None:
    qkv = torch.randn(1, 12, 3 * 2 * 9)
    assert torch.equal(kernel_attention(qkv, 2, 0.2), attention(qkv, 2, 0.2))


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
    assert is_supported(x, conv.weight)
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
    monkeypatch.setattr("esrt_core.engine.fused.kernels.load_kernel", lambda name: None)
    assert not is_supported(x, conv.weight)
    for got, expected in zip(ours, [conv(x), conv(x, residual), conv(x, residual, -0.7)], strict=True):
        assert (got - expected).abs().max() < 1e-5


@pytest.mark.usefixtures("processor")
def test_a_convolution_depends_neither_on_the_batch_nor_on_the_threads() -> None:
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
def test_nan_passes_through_a_convolution(act: FixedPReLU | FixedClamp | None) -> None:
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
        assert not is_supported(x, noise(32, inputs, size, size))
    assert not is_supported(x, noise(12, 16, 3, 3), residual=noise(1, 12, 8, 8))
    assert not is_supported(x.bfloat16(), noise(16, 16, 3, 3).bfloat16())
    conv = FixedConv(noise(32, 24, 3, 3, seed=1))
    assert torch.allclose(conv(x), F.conv2d(x, conv.weight, padding=1), atol=1e-4)
