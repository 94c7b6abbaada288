"""Attention in pieces and windows, checked against a plain transcription."""

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esrt_core.model.transformer import ET, attention, overlapping_sum, patches, split_attention, windowed_attention

HEADS, DIM = 2, 4


def plain_split_attention(qkv: Tensor, scale: float) -> Tensor:
    """Attend with written-out softmax in pieces of ceil(N / 4) tokens: (N, 3 * HEADS * DIM) to (N, HEADS * DIM)."""
    pieces = []
    for piece in torch.split(qkv, math.ceil(len(qkv) / 4)):
        q, k, v = piece.reshape(len(piece), 3, HEADS, DIM).permute(1, 2, 0, 3)  # each (heads, n, d)
        weights = torch.softmax(scale * q @ k.transpose(1, 2), -1)
        pieces.append((weights @ v).transpose(0, 1).reshape(len(piece), HEADS * DIM))
    return torch.cat(pieces)


def random_qkv(*shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(*shape, 3 * HEADS * DIM, dtype=torch.float64)


@pytest.mark.parametrize("length", [9, 10, 11, 12, 30, 31])
def test_pieces_are_a_quarter_rounded_up(length: int) -> None:
    qkv = random_qkv(2, length)
    expected = torch.stack([plain_split_attention(sequence, 0.3) for sequence in qkv])
    torch.testing.assert_close(split_attention(qkv, HEADS, 0.3, attention), expected)


@pytest.mark.parametrize(
    ("size", "windows"), [((8, 12), (2, 3)), ((9, 11), (2, 2)), ((10, 7), (3, 1)), ((7, 10), (1, 3))]
)
def test_windows_attend_alone(size: tuple[int, int], windows: tuple[int, int]) -> None:
    qkv = random_qkv(2, *size)
    out = windowed_attention(qkv, HEADS, 0.3, windows, attention)
    expected = torch.empty_like(out)
    rows = torch.arange(size[0]).tensor_split(windows[0])
    columns = torch.arange(size[1]).tensor_split(windows[1])
    for i in range(2):
        for r in rows:
            for c in columns:
                cell = qkv[i, r][:, c]
                attended = plain_split_attention(cell.flatten(0, 1), 0.3)
                expected[i, r[0] : r[-1] + 1, c[0] : c[-1] + 1] = attended.reshape(*cell.shape[:2], -1)
    torch.testing.assert_close(out, expected)


def test_attention_divides_by_the_unreduced_width() -> None:
    assert ET(32).emha.scale == pytest.approx(1 / 6)


PEAK_SCRIPT = """
import resource, torch
from esrt_core.model.transformer import attention, split_attention
qkv = torch.randn(1, 96 * 96, 432)
with torch.inference_mode():
    split_attention(qkv[:, :64], 8, 1 / 6, attention)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    split_attention(qkv, 8, 1 / 6, attention)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_no_quadratic_matrix_is_made() -> None:
    """The matrices of 96 x 96 tokens would take 4 pieces x 8 heads x 2,304 x 2,304 x 4 bytes = 680 MB."""
    grown = subprocess.run([sys.executable, "-c", PEAK_SCRIPT], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 200_000


def test_patches_and_their_sum_are_unfold_and_fold() -> None:
    x = torch.rand(2, 5, 4, 7)
    tokens = F.unfold(x, 3, padding=1).transpose(1, 2)
    assert torch.equal(patches(x), tokens)
    assert torch.allclose(overlapping_sum(tokens, (4, 7)), F.fold(tokens.transpose(1, 2), (4, 7), 3, padding=1))


def test_the_gradients_of_patches_and_their_sum() -> None:
    x = torch.rand(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(patches, x)
    assert torch.autograd.gradcheck(
        lambda tokens: overlapping_sum(tokens, (3, 4)), patches(x).detach().requires_grad_()
    )


def test_attention_stays_in_float32_where_a_cpu_computes_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    attend = F.scaled_dot_product_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        out = attend(q, k, v, scale=scale)
        seen.extend((q.dtype, k.dtype, v.dtype, out.dtype))
        return out

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    qkv = torch.rand(1, 16, 3 * 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        split_attention(qkv, 2, 0.5, attention)
    assert set(seen) == {torch.float32}
    seen.clear()
    split_attention(qkv, 2, 0.5, attention)
    assert set(seen) == {torch.bfloat16}
