from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from esrt_core.engine.fused import form as form_module
from esrt_core.engine.fused import fuse
from esrt_core.engine.fused.form import RECORD_AT, CudaGraphRunner, TorchForm, is_invalid
from esrt_core.engine.options import EngineOptions
from esrt_core.errors import WeightsError
from esrt_core.model import ESRT
from esrt_core.weights.checkpoint import weights_of


def form_of(network: ESRT, precision: str = "fp32", plain: bool = False, tta: bool = False) -> TorchForm:
    options = EngineOptions(precision=precision, tile=0 if plain else None, tta=tta)
    return TorchForm(weights_of(network), "cpu", options)


class Fake(nn.Module):
    """Enlarge by repeating pixels; in half precision spoil the pictures whose first value is below a half."""

    def __init__(self, dtype: torch.dtype, bad: float) -> None:
        super().__init__()
        self.dtype = dtype
        self.bad = bad

    def forward(self, x: Tensor, windows: tuple[int, int]) -> Tensor:
        y = F.interpolate(x, scale_factor=2.0, mode="nearest")
        if self.dtype != torch.float32:
            y[x[:, 0, 0, 0] < 0.5] = self.bad
        return y


def use_fake(monkeypatch: pytest.MonkeyPatch, bad: float) -> None:
    monkeypatch.setattr(form_module, "fuse", lambda network, dtype=torch.float32: Fake(dtype, bad))


def batch(*firsts: float) -> Tensor:
    torch.manual_seed(0)
    x = torch.rand(len(firsts), 3, 8, 8)
    x[:, 0, 0, 0] = torch.tensor(firsts)
    return x


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0])
def test_what_half_precision_spoils_is_redone_in_float32(
    monkeypatch: pytest.MonkeyPatch, network: ESRT, bad: float
) -> None:
    use_fake(monkeypatch, bad)
    x = batch(0.1, 0.9, 0.2)
    form = form_of(network, "fp16")
    assert torch.equal(form(x, (1, 1)), form_of(network, "fp32")(x, (1, 1)))
    assert form.fallbacks == 2


@pytest.mark.parametrize("exact", [False, True])
def test_what_is_not_looked_at_at_once_is_doubted_later(
    monkeypatch: pytest.MonkeyPatch, network: ESRT, exact: bool
) -> None:
    use_fake(monkeypatch, float("nan"))
    form = form_of(network, "fp16")
    good, bad = batch(0.9), batch(0.1)
    if exact:
        bad = bad * float("nan")
    with form.deferred_checks() as first:
        form(bad, (1, 1), exact=exact)
        form(good, (1, 1), exact=exact)
    with form.deferred_checks() as second:
        form(good, (1, 1), exact=exact)
    assert [bool(doubt) for doubt in first] == [True, False]
    assert [bool(doubt) for doubt in second] == [False]
    assert form.fallbacks == 0


def test_exact_asks_for_float32(monkeypatch: pytest.MonkeyPatch, network: ESRT) -> None:
    use_fake(monkeypatch, float("nan"))
    form = form_of(network, "bf16")
    assert torch.isfinite(form(batch(0.1), (1, 1), exact=True)).all()
    assert form.fallbacks == 0


def test_a_constant_result_of_a_constant_picture_is_fine() -> None:
    x = torch.cat([torch.full((1, 3, 4, 4), 0.2), torch.rand(1, 3, 4, 4)])
    assert is_invalid(x, torch.full((2, 3, 8, 8), 0.2)).tolist() == [False, True]


def test_a_result_that_is_not_finite_in_float32_blames_the_weights(network: ESRT) -> None:
    form = form_of(network, plain=True)
    with torch.no_grad():
        next(form._full.parameters()).fill_(float("nan"))  # type: ignore[attr-defined]
    with pytest.raises(WeightsError, match="damaged"):
        form(torch.rand(1, 3, 8, 8), (1, 1))


def test_the_average_of_eight_forms_turns_with_the_picture(network: ESRT) -> None:
    form = form_of(network, tta=True)
    x = torch.rand(1, 3, 12, 16)
    with torch.inference_mode():
        upright, turned = form(x, (1, 1)), form(x.transpose(2, 3).flip(2), (1, 1))
    assert torch.allclose(upright.transpose(2, 3).flip(2), turned, atol=1e-5)


class Overwriting(nn.Module):
    """Return every result in the same memory, as a replayed CUDA graph does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.result = torch.empty(0)

    def forward(self, x: Tensor, windows: tuple[int, int]) -> Tensor:
        y = self.network(x, windows)
        if self.result.shape != y.shape:
            self.result = torch.empty_like(y)
        return self.result.copy_(y)


def test_the_average_holds_if_the_network_overwrites_its_results(network: ESRT) -> None:
    form, x = form_of(network, tta=True), torch.rand(1, 3, 12, 12)
    with torch.inference_mode():
        expected = form(x, (1, 1))
        form._full = Overwriting(form._full)  # type: ignore[arg-type]
        assert torch.equal(form(x, (1, 1)), expected)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near_float32(network: ESRT, precision: str) -> None:
    x = torch.rand(1, 3, 24, 24)
    with torch.inference_mode():
        error = form_of(network, precision)(x, (1, 1)) - form_of(network)(x, (1, 1))
    assert 0 < error.square().mean() < 10**-4.5  # 45 dB, with weights that nobody trained


def test_a_smaller_batch_is_filled_up_beside_a_cpu(monkeypatch: pytest.MonkeyPatch, network: ESRT) -> None:
    use_fake(monkeypatch, 0.0)
    form = form_of(network)
    form._device = torch.device("meta")
    sizes: list[int] = []

    def average(network: object, x: Tensor, windows: object) -> Tensor:
        sizes.append(len(x))
        return x.repeat(1, 1, 2, 2)

    monkeypatch.setattr(form, "_average", average)
    assert form(torch.rand(3, 3, 8, 8), (1, 1), batch=8).shape == (3, 3, 16, 16)
    assert sizes == [8]


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Record the most numbers in one tensor that any operator returns."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return result


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True])
def test_no_tensor_grows_with_the_square_of_the_pixels(network: ESRT, plain: bool) -> None:
    form = form_of(network, plain=plain)
    largest = []
    for side in (32, 64):
        with torch.inference_mode(), LargestTensor() as mode:  # type: ignore[no-untyped-call]
            form(torch.rand(1, 3, side, side), (1, 1))
        largest.append(mode.numbers)
    assert largest[1] <= 4.5 * largest[0]  # four times the pixels; the attention's matrix would be 16 times
    assert largest[1] < 8 * 64**2 * (64**2 / 4)  # heads x queries x keys


def test_float32_on_a_gpu_is_not_rounded_by_cudnn(monkeypatch: pytest.MonkeyPatch, network: ESRT) -> None:
    seen = []

    class FirstFrames(nn.Module):
        def forward(self, x: Tensor, windows: tuple[int, int]) -> Tensor:
            seen.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))
            return F.interpolate(x, scale_factor=2.0)

    before = torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(form_module, "fuse", lambda network, dtype=torch.float32: FirstFrames())
    form = form_of(network)
    form._device = torch.device("cuda")
    form(torch.rand(1, 3, 8, 8), (1, 1))
    assert seen == [(torch.backends.cudnn.enabled, False)]
    assert torch.backends.cudnn.allow_tf32 == before


class Counting(nn.Module):
    """Count how often the network is really called."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.calls = 0

    def forward(self, x: Tensor, windows: tuple[int, int]) -> Tensor:
        self.calls += 1
        out: Tensor = self.network(x, windows)
        return out


def test_nothing_is_recorded_on_a_cpu(network: ESRT) -> None:
    counting = Counting(fuse(network))
    replay, x = CudaGraphRunner(counting), torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        results = [replay(x, (1, 1)) for _ in range(RECORD_AT + 2)]
    assert counting.calls == RECORD_AT + 2
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@torch.inference_mode()
def test_a_recording_gives_what_the_network_gives(network: ESRT) -> None:
    counting = Counting(fuse(network, torch.float16).cuda())
    replay = CudaGraphRunner(counting)
    for height in (16, 24, 16):  # another shape begins anew
        counting.calls = 0
        for _ in range(RECORD_AT + 3):
            x = torch.rand(2, 3, height, 16, device="cuda").contiguous(memory_format=torch.channels_last)
            assert torch.allclose(replay(x, (1, 1)), counting.network(x, (1, 1)), atol=2e-3)
        assert counting.calls == RECORD_AT  # the last of them was recorded
