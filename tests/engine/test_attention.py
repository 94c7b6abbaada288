from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from esrt_core.engine.fast.attention import DIM, LIBRARIES, SOURCE, fast_attention, load_kernel
from esrt_core.model.transformer import attention

HEADS = 8
ABLE = {"AVX512": ("AVX512", "AVX2"), "AVX2": ("AVX2",)}.get(torch.backends.cpu.get_cpu_capability(), ())


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget the kernel of one test before the next, when what it pretended is over."""
    load_kernel.cache_clear()
    yield
    load_kernel.cache_clear()


@pytest.fixture(params=list(LIBRARIES))
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the kernel for a kind of processor."""
    if request.param not in ABLE:
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    if load_kernel() is None:
        pytest.skip("not compiled: there was no C compiler when the package was installed")


def random_qkv(batch: int, length: int) -> Tensor:
    return torch.randn(batch, length, 3 * HEADS * DIM, generator=torch.Generator().manual_seed(length))


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("length", [1, 5, 6, 7, 31, 32, 33, 48, 49, 97, 576])
def test_the_kernel_computes_what_torch_does(length: int) -> None:
    qkv = random_qkv(2, length)
    expected = attention(qkv.double(), HEADS, 1 / 6)
    assert (fast_attention(qkv, HEADS, 1 / 6) - expected).abs().max() < 3e-6


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_scores_far_from_zero_are_no_trouble(offset: float) -> None:
    qkv = random_qkv(1, 40)
    qkv[..., 0] = 1  # of a query, and of no other channel that meets it
    qkv[..., HEADS * DIM] = offset
    qkv[0, 3, HEADS * DIM] += 50
    out = fast_attention(qkv, HEADS, 1.0)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out, attention(qkv.double(), HEADS, 1.0).float(), rtol=0, atol=5e-3)


@pytest.mark.usefixtures("kernel")
def test_the_kernel_depends_neither_on_the_batch_nor_on_the_threads() -> None:
    qkv = random_qkv(3, 50)
    whole = fast_attention(qkv, HEADS, 0.2)
    assert torch.equal(whole[1:2], fast_attention(qkv[1:2], HEADS, 0.2))
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            assert torch.equal(whole, fast_attention(qkv, HEADS, 0.2))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.usefixtures("kernel")
def test_gaps_and_bfloat16_are_understood() -> None:
    qkv = random_qkv(2, 30)
    assert torch.equal(fast_attention(qkv[:, 10:], HEADS, 0.2), fast_attention(qkv[:, 10:].clone(), HEADS, 0.2))
    half = fast_attention(qkv.bfloat16(), HEADS, 0.2)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, fast_attention(qkv.bfloat16().float(), HEADS, 0.2).bfloat16())


def test_torch_attends_where_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert load_kernel() is None
    qkv = random_qkv(2, 20)
    assert torch.equal(fast_attention(qkv, HEADS, 0.2), attention(qkv, HEADS, 0.2))


@pytest.mark.usefixtures("kernel")
def test_a_library_compiled_from_another_source_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "attention.c"
    changed.write_bytes(SOURCE.read_bytes() + b"\n")
    load_kernel.cache_clear()
    monkeypatch.setattr("esrt_core.engine.fast.attention.SOURCE", changed)
    assert load_kernel() is None


def test_torch_attends_with_heads_of_another_width() -> None:
    qkv = torch.randn(1, 12, 3 * 2 * 9)
    assert torch.equal(fast_attention(qkv, 2, 0.2), attention(qkv, 2, 0.2))
