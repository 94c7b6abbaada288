import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from esrt_core.errors import TrainingError
from esrt_core.training.loss import Loss
from esrt_core.training.step import MAX_NORM, Stepper

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
def test_a_replayed_graph_trains_as_single_kernels_do() -> None:
    device = torch.device("cuda")
    lr, hr = (part.to(device) for part in batch())
    graphed, plain = network().to(device), network().to(device)
    stepper, single = Stepper(graphed, Loss(), device), Stepper(plain, Loss(), device)
    single._can_graph = lambda: False  # type: ignore[method-assign]
    for _ in range(3):
        first = stepper.step(lr, hr, [SGD(graphed.parameters(), lr=0.1)])
        second = single.step(lr, hr, [SGD(plain.parameters(), lr=0.1)])
        assert first.loss == pytest.approx(second.loss, rel=1e-3)
