import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training import precision
from esrt_core.training.loop import set_trainable
from esrt_core.training.precision import MAX_LOSS_SCALE, Bfloat16Backbones, Float16, compile_blocks, in_half_precision
from esrt_core.training.state import LossScale
from esrt_core.training.step import Loss, Stepper

CPU = torch.device("cpu")


def network() -> ESRT:
    torch.manual_seed(0)
    net = ESRT(ESRTConfig(2, channels=16, blocks=1))
    set_trainable(net)
    return net


def gradients(wrapped: nn.Module, scale: float = 1.0) -> Tensor:
    random = torch.Generator().manual_seed(1)
    lr = torch.rand((2, 3, 16, 16), generator=random)
    with torch.no_grad():
        good = network()(lr)
    hr = good + 0.01 * F.interpolate(lr, scale_factor=2)  # near, as to a network that was trained long
    Stepper(wrapped, Loss(), CPU, LossScale(scale, CPU)).begin(lr, hr)
    parts = [value.grad.flatten() for value in wrapped.parameters() if value.grad is not None]
    assert all(part.dtype == torch.float32 for part in parts)
    return torch.cat(parts)


def error(wrapped: nn.Module, scale: float = 1.0) -> float:
    """Return how far gradients are from those in float32, of their length."""
    full = gradients(network())
    return float((gradients(wrapped, scale) - full).norm() / full.norm())


def test_float16_gives_the_gradients_of_float32_if_the_loss_is_scaled() -> None:
    assert 0 < error(Float16(network()), MAX_LOSS_SCALE) < 0.02
    assert error(Float16(network()), 2.0**-8) > 3 * error(Float16(network()), MAX_LOSS_SCALE)


def test_with_its_backbones_in_bfloat16_a_network_keeps_its_gradients_better_than_all_in_it() -> None:
    class Everything(Float16):
        def forward(self, x: Tensor, windows: tuple[int, int] = (1, 1)) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                out: Tensor = self.network(x, windows)
            return out

    backbones = error(Bfloat16Backbones(network()))
    assert 0 < backbones < 0.1
    assert error(Everything(network())) > 1.5 * backbones


def test_the_backbones_compute_in_bfloat16_and_the_rest_does_not() -> None:
    net, seen = network(), dict[str, torch.dtype]()
    half = ("lcb.hpb.0.arfb_enc.conv", "ltb.et.emha.qkv", "ltb.conv")
    for name in (*half, "head", "reduce", "tail", "up"):
        net.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out.dtype}))
    out = Bfloat16Backbones(net)(torch.rand(1, 3, 8, 8))
    assert out.dtype == torch.float32
    assert seen == {name: torch.bfloat16 if name in half else torch.float32 for name in seen}
    assert len(seen) == 7


@pytest.mark.parametrize(
    ("device", "able", "kind"), [("cuda", True, Float16), ("cpu", True, Bfloat16Backbones), ("cpu", False, ESRT)]
)
def test_a_device_decides(device: str, able: bool, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "supports_fast_bfloat16", lambda device: able)
    net = network()
    wrapped = in_half_precision(net, torch.device(device))
    assert type(wrapped) is kind
    assert {id(value) for value in wrapped.parameters()} == {id(value) for value in net.parameters()}


@pytest.mark.slow
def test_compiled_blocks_compute_the_same_and_copies_are_plain() -> None:
    torch.manual_seed(0)
    network = ESRT(ESRTConfig(2, channels=16, blocks=1))
    names, x = list(network.state_dict()), torch.rand(1, 3, 8, 8)
    before = network(x)
    compile_blocks(network, backend="eager")  # what Dynamo records, run without a compiler
    assert torch.allclose(network(x), before, atol=1e-6)
    assert sum(_is_compiled(module) for module in network.modules()) == 4
    assert list(network.state_dict()) == names
    assert not any(_is_compiled(module) for module in copy.deepcopy(network).modules())


def _is_compiled(module: torch.nn.Module) -> bool:
    return module._compiled_call_impl is not None
