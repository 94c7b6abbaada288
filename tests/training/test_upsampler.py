import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.upsampler import fit_upsamplers

SIDE = 20  # px of LR
OUTER = ((0, 0, 0, 1, 1, 2, 2, 2), (0, 1, 2, 0, 2, 0, 1, 2))  # rows and columns of a kernel but its center


def make(scale: int, channels: int = 16, seed: int = 0) -> ESRT:
    torch.manual_seed(seed)
    return ESRT(ESRTConfig(scale, channels, blocks=1))


def draw_batches(scale: int, count: int = 3) -> list[tuple[Tensor, Tensor]]:
    """Draw LR and HR that is nothing that a linear upsampler could make of it."""
    random = torch.Generator().manual_seed(1)
    lr = torch.rand(count, 4, 3, SIDE, SIDE, generator=random)
    return [(each, F.interpolate(each, scale_factor=scale, mode="bicubic").sin()) for each in lr]


def squared_error(network: ESRT, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the squared error on whole batches, the borders of their pictures included."""
    return torch.stack([(network(lr) - hr).square().sum() for lr, hr in batches]).sum()


def first_gradients(network: ESRT, batches: list[tuple[Tensor, Tensor]], scale: int) -> list[Tensor]:
    """Return the gradients of the weights and biases of the tail that are fitted."""
    network.zero_grad()
    squared_error(network, batches).backward()  # type: ignore[no-untyped-call]
    return [
        value.grad[: 3 * scale**2].clone() for value in network.tail.steps[0].parameters() if value.grad is not None
    ]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_fit_is_where_the_squared_error_is_smallest(scale: int) -> None:
    network, batches = make(scale), draw_batches(scale)
    fit_upsamplers(network, batches, lambda each: each)
    at_minimum = first_gradients(network, batches, scale)
    with torch.no_grad():
        for value in network.tail.steps[0].parameters():
            value[: 3 * scale**2] += 0.01
    beside = first_gradients(network, batches, scale)
    assert len(beside) == 2
    for there, here in zip(at_minimum, beside, strict=True):
        assert there.abs().max() < 1e-3 * here.abs().max()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_what_an_upsampler_can_make_is_met(scale: int) -> None:
    truth = make(scale)
    with torch.no_grad():
        for convolution in (truth.up.last, *truth.up.steps[1:]):
            convolution.weight[..., *OUTER] = 0  # so that 3 x 3 LR px are all that it sees
        batches = [(lr, truth.up(truth.head(lr)) + 5) for lr, _ in draw_batches(scale)]  # the ReLU changes nothing
    network = make(scale, seed=1)
    network.head.load_state_dict(truth.head.state_dict())
    fit_upsamplers(network, batches, lambda each: each)
    for lr, hr in batches:
        with torch.no_grad():
            torch.testing.assert_close(network(lr), hr, rtol=0, atol=1e-3)


def test_the_body_stays_and_unused_channels_stay_random() -> None:
    network, before = make(4), make(4).state_dict()
    fit_upsamplers(network, draw_batches(4), lambda each: each)
    after = network.state_dict()
    body = [name for name in before if not name.startswith(("up.", "tail."))]
    assert all(torch.equal(before[name], after[name]) for name in body)
    assert torch.equal(before["tail.steps.0.weight"][48:], after["tail.steps.0.weight"][48:])
    assert not torch.equal(before["tail.steps.0.weight"][:48], after["tail.steps.0.weight"][:48])


def test_several_processes_fit_to_the_batches_of_all() -> None:
    batches = draw_batches(3, count=2)
    whole, part = make(3), make(3)
    totals: list[Tensor] = []

    def keep(own: Tensor) -> Tensor:
        totals.append(own)
        return own

    fit_upsamplers(whole, batches, keep)
    fit_upsamplers(part, batches[:1], lambda own: totals.pop(0))
    assert all(torch.equal(value, part.state_dict()[name]) for name, value in whole.state_dict().items())
