import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD

from esrt_core.errors import TrainingError
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.compilation import compile_blocks
from esrt_core.training.loss import Loss
from esrt_core.training.optimiser import build_optimisers, set_rates
from esrt_core.training.step import MAX_NORM, Stepper
from esrt_core.training.trainer import choose_trained

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 3, 3, padding=1)


def batch(count: int = 4) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.rand((count, 3, 8, 8), generator=random), torch.rand((count, 3, 8, 8), generator=random)


def test_a_step_lowers_the_loss_and_clips_the_gradients() -> None:
    net = network()
    stepper, optimisers = Stepper(net, Loss(), CPU), [SGD(net.parameters(), lr=0.1)]
    lr, hr = batch()
    first = stepper.step(lr, 100 * hr, optimisers)
    assert first.norm > MAX_NORM
    norm = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(MAX_NORM, rel=1e-4)
    assert stepper.step(lr, 100 * hr, optimisers).loss < first.loss


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    lr, hr = batch()
    lr[0, 0, 0, 0] = float("nan")
    assert not Stepper(net, Loss(), CPU).step(lr, hr, [SGD(net.parameters(), lr=0.1)]).finite
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Small(nn.Module):
    """Run out of memory with more than `most` pictures."""

    def __init__(self, inner: nn.Module, most: int) -> None:
        super().__init__()
        self.inner = inner
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("no")
        out: Tensor = self.inner(x)
        return out


def test_a_batch_that_is_too_large_is_computed_in_parts_with_the_same_gradients() -> None:
    lr, hr = batch(6)
    whole, parts = network(), network()
    Stepper(whole, Loss(), CPU).step(lr, hr, [])
    stepper = Stepper(Small(parts, most=2), Loss(), CPU)
    stepper.step(lr, hr, [])
    assert stepper.parts == 4
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


def test_a_single_patch_that_is_too_large_is_an_error() -> None:
    with pytest.raises(TrainingError, match="--batch"):
        Stepper(Small(network(), most=0), Loss(), CPU).step(*batch(2), [])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_replayed_graphs_train_as_single_kernels_do(kind: str) -> None:
    device = torch.device("cuda")
    losses = []
    for graphs in (True, False):
        torch.manual_seed(0)
        net = ESRT(ESRTConfig(2, channels=16, blocks=1)).to(device, memory_format=torch.channels_last)
        choose_trained(net, body_rests=False)
        compile_blocks(net)
        stepper, optimisers = Stepper(net, Loss(), device), build_optimisers(net, kind, 1e-3, None)
        if not graphs:
            stepper._can_graph = lambda: False  # type: ignore[method-assign]
        lr = torch.rand((4, 3, 16, 16), generator=torch.Generator().manual_seed(1)).to(device)
        hr = F.interpolate(lr, scale_factor=2)
        for factor in (1.0, 0.5, 0.5, 0.1, 0.1):
            set_rates(optimisers, factor)
            losses.append(stepper.step(lr, hr, optimisers).loss)
    assert losses[:5] == pytest.approx(losses[5:], rel=2e-2)
    assert losses[4] < losses[0]
