import copy
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from esrt_core.errors import TrainingError
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.model.transformer import Windows
from esrt_core.training.loop import set_trainable
from esrt_core.training.optimizers import build_optimizers, set_rates
from esrt_core.training.precision import Float16, compile_blocks, loss_scale
from esrt_core.training.state import LossScale
from esrt_core.training.step import MAX_NORM, Loss, Stepper, StepResult


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


CPU = torch.device("cpu")


def step(stepper: Stepper, lr: Tensor, hr: Tensor, optimizers: Sequence[Optimizer]) -> StepResult:
    return stepper.finish(stepper.begin(lr, hr), optimizers)


class Convolution(nn.Module):
    """Stand for a network of scale 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        out: Tensor = self.layer(x)
        return out


def network() -> nn.Module:
    torch.manual_seed(0)
    return Convolution()


def batch(count: int = 4) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.rand((count, 3, 8, 8), generator=random), torch.rand((count, 3, 8, 8), generator=random)


def test_a_step_lowers_the_loss_and_clips_the_gradients() -> None:
    net = network()
    stepper, optimizers = Stepper(net, Loss(), CPU, LossScale(1.0, CPU)), [SGD(net.parameters(), lr=0.1)]
    lr, hr = batch()
    first = step(stepper, lr, 100 * hr, optimizers)
    assert first.norm > MAX_NORM
    norm = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(MAX_NORM, rel=1e-4)
    assert step(stepper, lr, 100 * hr, optimizers).loss < first.loss


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    lr, hr = batch()
    lr[0, 0, 0, 0] = float("nan")
    assert not step(Stepper(net, Loss(), CPU, LossScale(1.0, CPU)), lr, hr, [SGD(net.parameters(), lr=0.1)]).finite
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Small(nn.Module):
    """Run out of memory with more than `most` pictures."""

    def __init__(self, inner: nn.Module, most: int) -> None:
        super().__init__()
        self.inner = inner
        self.most = most

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("no")
        out: Tensor = self.inner(x, windows)
        return out


def test_a_batch_that_is_too_large_is_computed_in_parts_with_the_same_gradients() -> None:
    lr, hr = batch(6)
    whole, parts = network(), network()
    Stepper(whole, Loss(), CPU, LossScale(1.0, CPU)).begin(lr, hr)
    stepper = Stepper(Small(parts, most=2), Loss(), CPU, LossScale(1.0, CPU))
    stepper.begin(lr, hr)
    assert stepper.parts == 4
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


def test_a_single_patch_that_is_too_large_is_an_error() -> None:
    with pytest.raises(TrainingError, match="--batch"):
        Stepper(Small(network(), most=0), Loss(), CPU, LossScale(1.0, CPU)).begin(*batch(2))


def test_a_patch_larger_than_a_window_is_cut_into_windows_as_in_inference() -> None:
    seen: list[Windows] = []

    class Spy(Convolution):
        def forward(self, x: Tensor, windows: Windows) -> Tensor:
            seen.append(windows)
            return super().forward(x, windows)

    for side in (24, 48, 64, 96):
        Stepper(Spy(), Loss(), CPU, LossScale(1.0, CPU)).begin(
            torch.rand(1, 3, side, side), torch.rand(1, 3, side, side)
        )
    assert seen == [(1, 1), (1, 1), (1, 1), (2, 2)]


def test_a_scale_that_overflows_is_halved_until_it_does_not() -> None:
    net = network()
    stepper, optimizers = Stepper(Float16(net), Loss(), CPU, LossScale(2.0**30, CPU)), [SGD(net.parameters(), lr=0.1)]  # type: ignore[arg-type]
    before = copy.deepcopy(net.state_dict())
    lr, hr = batch()
    finite = [step(stepper, lr, hr, optimizers).finite]
    assert not finite[0]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    while not finite[-1]:
        finite.append(step(stepper, lr, hr, optimizers).finite)
    assert len(finite) < 32
    assert all(not torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_scale_changes_neither_gradients_nor_norm() -> None:
    plain, scaled = network(), network()
    lr, hr = batch()
    a = Stepper(plain, Loss(), CPU, LossScale(1.0, CPU)).begin(lr, 100 * hr)
    b = Stepper(scaled, Loss(), CPU, LossScale(2.0**10, CPU)).begin(lr, 100 * hr)
    assert torch.allclose(a, b)
    for one, other in zip(plain.parameters(), scaled.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",  # torch, of itself, while it compiles, like the next
    r"ignore:The \.grad attribute of a Tensor that is not a leaf:UserWarning",
    "ignore:The AccumulateGrad node's stream does not match:UserWarning",  # the recording's is not the warm-up's
)
@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_replayed_graphs_train_as_single_kernels_do(kind: str) -> None:
    device = torch.device("cuda")
    losses = []
    for graphs in (True, False):
        torch.manual_seed(0)
        net = ESRT(ESRTConfig(2, channels=16, blocks=1)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        set_trainable(net)
        compile_blocks(net)
        stepper = Stepper(Float16(net), Loss(), device, loss_scale(device))
        optimizers = build_optimizers(net, kind, 1e-3, None)
        if not graphs:
            stepper._can_record = lambda: False  # type: ignore[method-assign]
        lr = torch.rand((4, 3, 16, 16), generator=torch.Generator().manual_seed(1)).to(device)
        hr = F.interpolate(lr, scale_factor=2)
        for factor in (1.0, 0.5, 0.5, 0.1, 0.1):
            set_rates(optimizers, factor)
            losses.append(step(stepper, lr, hr, optimizers).loss)
    assert losses[:5] == pytest.approx(losses[5:], rel=2e-2)
    assert losses[4] < losses[0]
