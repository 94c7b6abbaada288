import pytest
import torch
from torch import Tensor

from esrt_core.engine.fast.attention import DIM, fast_attention
from esrt_core.model.transformer import attention
from tests.engine.processors import forgotten, processor

__all__ = ["forgotten", "processor"]
HEADS = 8


def random_qkv(batch: int, length: int) -> Tensor:
    return torch.randn(batch, length, 3 * HEADS * DIM, generator=torch.Generator().manual_seed(length))


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("length", [1, 5, 6, 7, 31, 32, 33, 48, 49, 97, 576])
def test_the_kernel_computes_what_torch_does(length: int) -> None:
    qkv = random_qkv(2, length)
    expected = attention(qkv.double(), HEADS, 1 / 6)
    assert (fast_attention(qkv, HEADS, 1 / 6) - expected).abs().max() < 3e-6


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_scores_far_from_zero_are_no_trouble(offset: float) -> None:
    qkv = random_qkv(1, 40)
    qkv[..., 0] = 1  # of a query, and of no other channel that meets it
    qkv[..., HEADS * DIM] = offset
    qkv[0, 3, HEADS * DIM] += 50
    out = fast_attention(qkv, HEADS, 1.0)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out, attention(qkv.double(), HEADS, 1.0).float(), rtol=0, atol=5e-3)


@pytest.mark.usefixtures("processor")
def test_what_is_no_number_stays_so() -> None:
    qkv = random_qkv(1, 40)
    qkv[0, 7, HEADS * DIM] = torch.nan  # of a key, which every query of its head meets
    out = fast_attention(qkv, HEADS, 0.2)
    assert out[0, :, :DIM].isnan().all()
    assert out[0, :, DIM:].isfinite().all()


@pytest.mark.usefixtures("processor")
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


@pytest.mark.usefixtures("processor")
def test_gaps_and_bfloat16_are_understood() -> None:
    qkv = random_qkv(2, 30)
    assert torch.equal(fast_attention(qkv[:, 10:], HEADS, 0.2), fast_attention(qkv[:, 10:].clone(), HEADS, 0.2))
    half = fast_attention(qkv.bfloat16(), HEADS, 0.2)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, fast_attention(qkv.bfloat16().float(), HEADS, 0.2).bfloat16())


def test_torch_attends_where_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    qkv = random_qkv(2, 20)
    assert torch.equal(fast_attention(qkv, HEADS, 0.2), attention(qkv, HEADS, 0.2))


def test_torch_attends_with_heads_of_another_width() -> None:
    qkv = torch.randn(1, 12, 3 * 2 * 9)
    assert torch.equal(fast_attention(qkv, 2, 0.2), attention(qkv, 2, 0.2))
