"""Runner: one network on one device, from a batch of tiles to checked results."""

import copy

import torch
from torch import Tensor, nn

from esrt_core.engine.device import DTYPES
from esrt_core.errors import WeightsError
from esrt_core.model import ESRT

Windows = tuple[int, int]


class Runner:
    """Run batches (B, 3, h, w) in [0, 1] to (B, 3, scale * h, scale * w) in float32, not clamped, on `device`.

    `precision` is "fp32", "fp16" or "bf16". Results that half precision spoils are computed again in float32;
    `redone` counts them.
    """

    def __init__(self, network: ESRT, device: torch.device, precision: str, tta: bool = False) -> None:
        self.device = device
        self.redone = 0
        self._tta = tta
        self._full = _placed(network, device)
        self._half = None if precision == "fp32" else _placed(HalfBody(network, DTYPES[precision]), device)

    def __call__(self, x: Tensor, windows: Windows, exact: bool = False) -> Tensor:
        """Run a batch; `exact` asks for float32 whatever the precision. Raise WeightsError for a result not finite."""
        if self._half is None or exact:
            return self._finite(self._ensemble(self._full, x, windows))
        y = self._ensemble(self._half, x, windows)
        bad = spoiled(x, y)
        if bad.any():
            self.redone += int(bad.sum())
            y[bad] = self._finite(self._ensemble(self._full, x[bad], windows))
        return y

    def _ensemble(self, network: nn.Module, x: Tensor, windows: Windows) -> Tensor:
        """Run once, or average the eight flips and rotations."""
        if not self._tta:
            return _run(network, x, windows)
        total = None
        for turn in range(8):
            y = _unturn(_run(network, _turn(x, turn), windows[::-1] if turn & 4 else windows), turn)
            total = y if total is None else total + y
        assert total is not None
        return total / 8

    def _finite(self, y: Tensor) -> Tensor:
        if not torch.isfinite(y.sum()):
            raise WeightsError("the network's result is not finite in float32: its weights are damaged")
        return y


class HalfBody(nn.Module):
    """ESRT with its two backbones in half precision; head, skip path and the last convolutions stay float32."""

    def __init__(self, network: ESRT, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.network.lcb.to(dtype)
        self.network.ltb.to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """Compute as ESRT.forward does."""
        net = self.network
        features = net.head(x)
        backbone = net.ltb(net.lcb(features.to(self.dtype)), windows).float()
        body = net.a1 * features + net.a2 * backbone
        out: Tensor = net.up(features).relu() + net.tail(net.reduce(body))
        return out


def spoiled(x: Tensor, y: Tensor) -> Tensor:
    """Say which results of a batch are not finite, or constant although the picture is not: (B,)."""
    infinite = ~torch.isfinite(y.sum((1, 2, 3)))
    return infinite | (_constant(y) & ~_constant(x))


def _constant(x: Tensor) -> Tensor:
    return (x.amax((2, 3)) == x.amin((2, 3))).all(1)


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    network = copy.deepcopy(network).eval().requires_grad_(False).to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _run(network: nn.Module, x: Tensor, windows: Windows) -> Tensor:
    y: Tensor = network(x.contiguous(memory_format=torch.channels_last), windows)
    return y


def _turn(x: Tensor, turn: int) -> Tensor:
    """Apply one of the eight symmetries: bits of `turn` flip rows, flip columns, transpose."""
    x = x.flip([dim for bit, dim in ((1, 2), (2, 3)) if turn & bit])
    return x.transpose(2, 3) if turn & 4 else x


def _unturn(x: Tensor, turn: int) -> Tensor:
    x = x.transpose(2, 3) if turn & 4 else x
    return x.flip([dim for bit, dim in ((1, 2), (2, 3)) if turn & bit])
