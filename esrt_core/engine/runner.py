"""Runner: one network on one device, from a batch of tiles to checked results."""

import contextlib
import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from esrt_core.engine.device import DTYPES
from esrt_core.engine.drift import keep_colours
from esrt_core.engine.fast import fast_form
from esrt_core.engine.native import NativeESRT
from esrt_core.engine.native.library import load_library
from esrt_core.engine.native.packing import can_run
from esrt_core.engine.replay import Replay, Windows
from esrt_core.errors import WeightsError
from esrt_core.model import ESRT
from esrt_core.weights.authors import authors_name


class Native:
    """Call the native network with tensors, in as many threads as torch has."""

    def __init__(self, network: NativeESRT) -> None:
        self._network = network

    def __call__(self, x: Tensor, windows: Windows) -> Tensor:
        """Return the network's result for x (B, 3, H, W) on the CPU."""
        return torch.from_numpy(self._network(x.numpy(), windows, torch.get_num_threads()))


class Runner:
    """Run batches (B, 3, h, w) in [0, 1] to (B, 3, scale * h, scale * w), float32 in [0, 1], on `device`.

    `precision` is "fp32", "fp16" or "bf16". Results that half precision spoils are computed again in float32;
    `redone` counts them. In float32 a CPU runs the native network if it was compiled; everything else runs the fused
    form. `plain` takes the network as it is written, in float32, instead of either; `tta` averages the eight flips and
    rotations.
    """

    def __init__(
        self, network: ESRT, device: torch.device, precision: str = "fp32", plain: bool = False, tta: bool = False
    ) -> None:
        self.device = device
        self.redone = 0
        self._doubts: list[Tensor] | None = None  # of results that nobody looked at
        self._tta = tta
        self._full: Replay | Native = _float32_form(network, device, plain)
        full_only = plain or precision == "fp32"
        self._half = None if full_only else Replay(fast_form(network, DTYPES[precision]).to(device))

    def __call__(self, x: Tensor, windows: Windows, batch: int = 1, exact: bool = False) -> Tensor:
        """Run a batch; `exact` asks for float32 whatever the precision. Raise WeightsError for a result not finite.

        Anywhere but on a CPU, where results do not depend on it, a smaller batch is filled up to `batch`.
        """
        if self.device.type != "cpu" and len(x) < batch:
            return self(torch.cat([x, x[-1:].expand(batch - len(x), -1, -1, -1)]), windows, batch, exact)[: len(x)]
        if self._half is None or exact:
            return keep_colours(x, self._in_float32(x, windows))
        y = self._ensemble(self._half, x, windows)
        bad = spoiled(x, y)
        if self._doubts is not None:
            self._doubts.append(bad.any())
        elif bad.any():
            self.redone += int(bad.sum())
            y[bad] = self._in_float32(x[bad], windows)
        return keep_colours(x, y)

    @contextlib.contextmanager
    def unchecked(self) -> Iterator[list[Tensor]]:
        """Let nobody wait for the device: results are not looked at; the list says of each whether it is no good."""
        doubts: list[Tensor] = []
        self._doubts = doubts
        try:
            yield doubts
        finally:
            self._doubts = None

    def _in_float32(self, x: Tensor, windows: Windows) -> Tensor:
        with _true_float32(self.device):
            y = self._ensemble(self._full, x, windows)
        finite = torch.isfinite(y.sum())
        if self._doubts is not None:
            self._doubts.append(~finite)
        elif not finite:
            raise WeightsError("the network's result is not finite in float32: its weights are damaged, choose others")
        return y

    def _ensemble(self, network: Replay | Native, x: Tensor, windows: Windows) -> Tensor:
        """Run once, or average the eight flips and rotations."""
        if not self._tta:
            return _run(network, x, windows)
        total = torch.zeros(())
        for turn in range(8):
            turned_windows = windows[::-1] if turn & 4 else windows
            total = total.to(x.device) + _unturned(_run(network, _turned(x, turn), turned_windows), turn)
        return total / 8


def _true_float32(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Keep cuDNN from rounding float32 factors to TensorFloat-32's eleven bits, as it does by default."""
    if device.type != "cuda":
        return contextlib.nullcontext()
    cudnn = torch.backends.cudnn
    flags: contextlib.AbstractContextManager[None] = cudnn.flags(
        cudnn.enabled, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
    return flags


def spoiled(x: Tensor, y: Tensor) -> Tensor:
    """Say which results of a batch are not finite, or constant although the picture is not: (B,)."""
    infinite = ~torch.isfinite(y.sum((1, 2, 3)))
    return infinite | (_constant(y) & ~_constant(x))


def _constant(x: Tensor) -> Tensor:
    return (x.amax((2, 3)) == x.amin((2, 3))).all(1)


def _float32_form(network: ESRT, device: torch.device, plain: bool) -> Replay | Native:
    """Choose what runs in float32; see Runner."""
    if plain:
        return Replay(_plain(network, device))
    if device.type == "cpu" and load_library() is not None:
        weights = {authors_name(name): tensor.numpy() for name, tensor in network.state_dict().items()}
        if can_run(weights):
            return Native(NativeESRT(weights, network.config.scale))
    return Replay(fast_form(network).to(device))


def _plain(network: ESRT, device: torch.device) -> nn.Module:
    return copy.deepcopy(network).eval().requires_grad_(False).to(device)


def _run(network: Replay | Native, x: Tensor, windows: Windows) -> Tensor:
    if isinstance(network, Native):
        return network(x, windows)
    return network(x.contiguous(memory_format=torch.channels_last), windows)


def _turned(x: Tensor, turn: int) -> Tensor:
    """Apply one of the eight symmetries: the bits of `turn` flip rows, flip columns, transpose."""
    x = x.flip([dim for bit, dim in ((1, 2), (2, 3)) if turn & bit])
    return x.transpose(2, 3) if turn & 4 else x


def _unturned(x: Tensor, turn: int) -> Tensor:
    x = x.transpose(2, 3) if turn & 4 else x
    return x.flip([dim for bit, dim in ((1, 2), (2, 3)) if turn & bit])
