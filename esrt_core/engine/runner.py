"""Runner: one network on one device, from a batch of tiles to checked results.

Replay: a network recorded on a GPU, so that its hundreds of kernels are started at once.
"""

import contextlib
import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from esrt_core.engine.back_projection import correct_colors
from esrt_core.engine.device import DTYPES
from esrt_core.engine.fused import fuse
from esrt_core.engine.native import NativeESRT
from esrt_core.engine.native.library import load_library
from esrt_core.engine.native.packing import can_run
from esrt_core.errors import WeightsError
from esrt_core.model import ESRT
from esrt_core.weights.detect import authors_name

Windows = tuple[int, int]


class Native:
    """Call the native network with tensors, in as many threads as torch has."""

    def __init__(self, network: NativeESRT) -> None:
        self._network = network

    def __call__(self, x: Tensor, windows: Windows) -> Tensor:
        """Return the network's result for x (B, 3, H, W) on the CPU."""
        return torch.from_numpy(self._network(x.numpy(), windows, torch.get_num_threads()))


RECORD_AT = 6  # calls in a row with inputs of one shape; more than the four upright ones of --tta
ROOM = 2  # times the memory of a call that must be free: a recording keeps its own


class CudaGraphRunner:
    """Call a network, `(x, windows)`, and on CUDA record it as a graph when one shape comes again and again.

    One recording is kept, if there is room for it. A replayed result is valid until the next call.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._form: tuple[torch.Size, Windows] | None = None
        self._times = 0
        self._recording: tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None = None

    def __call__(self, x: Tensor, windows: Windows) -> Tensor:
        """Return the network's result for x (B, 3, H, W), channels last."""
        form = (x.shape, windows)
        if form != self._form:
            if self._recording is not None:
                torch.cuda.synchronize()  # it may still be under way
            self._form, self._times, self._recording = form, 0, None
        self._times += 1
        if x.is_cuda and self._times == RECORD_AT and _has_room(x.device):
            self._recording = self._record(x, windows)
        if self._recording is None:
            y: Tensor = self._network(x, windows)
            return y
        graph, inputs, outputs = self._recording
        inputs.copy_(x)
        graph.replay()
        return outputs

    def _record(self, x: Tensor, windows: Windows) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        inputs = x.clone(memory_format=torch.channels_last)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs: Tensor = self._network(inputs, windows)
        return graph, inputs, outputs


def _has_room(device: torch.device) -> bool:
    """Say whether there is room for a recording besides a call; what calls have left behind is given back."""
    call = torch.cuda.memory_reserved(device)
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0] >= ROOM * call


class Runner:
    """Run batches (B, 3, h, w) in [0, 1] to (B, 3, scale * h, scale * w), float32 in [0, 1], on `device`.

    `precision` is "fp32", "fp16" or "bf16". Results that half precision spoils are computed again in float32;
    `fallbacks` counts them. In float32 a CPU runs the native network if it was compiled; everything else runs the fused
    form. `plain` takes the network as it is written, in float32, instead of either; `tta` averages the eight flips and
    rotations.
    """

    def __init__(
        self, network: ESRT, device: torch.device, precision: str = "fp32", plain: bool = False, tta: bool = False
    ) -> None:
        self.device = device
        self.fallbacks = 0
        self._deferred: list[Tensor] | None = None  # of results that nobody looked at
        self._tta = tta
        self._full: CudaGraphRunner | Native = _float32_form(network, device, plain)
        full_only = plain or precision == "fp32"
        self._half = None if full_only else CudaGraphRunner(fuse(network, DTYPES[precision]).to(device))

    def __call__(self, x: Tensor, windows: Windows, batch: int = 1, exact: bool = False) -> Tensor:
        """Run a batch; `exact` asks for float32 whatever the precision. Raise WeightsError for a result not finite.

        Anywhere but on a CPU, where results do not depend on it, a smaller batch is filled up to `batch`.
        """
        if self.device.type != "cpu" and len(x) < batch:
            return self(torch.cat([x, x[-1:].expand(batch - len(x), -1, -1, -1)]), windows, batch, exact)[: len(x)]
        if self._half is None or exact:
            return correct_colors(x, self._in_float32(x, windows))
        y = self._ensemble(self._half, x, windows)
        bad = is_invalid(x, y)
        if self._deferred is not None:
            self._deferred.append(bad.any())
        elif bad.any():
            self.fallbacks += int(bad.sum())
            y[bad] = self._in_float32(x[bad], windows)
        return correct_colors(x, y)

    @contextlib.contextmanager
    def deferred_checks(self) -> Iterator[list[Tensor]]:
        """Let nobody wait for the device: results are not looked at; the list says of each whether it is no good."""
        deferred: list[Tensor] = []
        self._deferred = deferred
        try:
            yield deferred
        finally:
            self._deferred = None

    def _in_float32(self, x: Tensor, windows: Windows) -> Tensor:
        with _true_float32(self.device):
            y = self._ensemble(self._full, x, windows)
        finite = torch.isfinite(y.sum())
        if self._deferred is not None:
            self._deferred.append(~finite)
        elif not finite:
            raise WeightsError("the network's result is not finite in float32: its weights are damaged, choose others")
        return y

    def _ensemble(self, network: CudaGraphRunner | Native, x: Tensor, windows: Windows) -> Tensor:
        """Run once, or average the eight flips and rotations."""
        if not self._tta:
            return _run(network, x, windows)
        total = torch.zeros(())
        for symmetry in range(8):
            transformed_windows = windows[::-1] if symmetry & 4 else windows
            total = total.to(x.device) + _inverse_transformed(
                _run(network, _transformed(x, symmetry), transformed_windows), symmetry
            )
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


def is_invalid(x: Tensor, y: Tensor) -> Tensor:
    """Say which results of a batch are not finite, or constant although the picture is not: (B,)."""
    infinite = ~torch.isfinite(y.sum((1, 2, 3)))
    return infinite | (_constant(y) & ~_constant(x))


def _constant(x: Tensor) -> Tensor:
    return (x.amax((2, 3)) == x.amin((2, 3))).all(1)


def _float32_form(network: ESRT, device: torch.device, plain: bool) -> CudaGraphRunner | Native:
    """Choose what runs in float32; see Runner."""
    if plain:
        return CudaGraphRunner(_plain(network, device))
    if device.type == "cpu" and load_library() is not None:
        weights = {authors_name(name): tensor.numpy() for name, tensor in network.state_dict().items()}
        if can_run(weights):
            return Native(NativeESRT(weights, network.config.scale))
    return CudaGraphRunner(fuse(network).to(device))


def _plain(network: ESRT, device: torch.device) -> nn.Module:
    return copy.deepcopy(network).eval().requires_grad_(False).to(device)


def _run(network: CudaGraphRunner | Native, x: Tensor, windows: Windows) -> Tensor:
    if isinstance(network, Native):
        return network(x, windows)
    return network(x.contiguous(memory_format=torch.channels_last), windows)


def _transformed(x: Tensor, symmetry: int) -> Tensor:
    """Apply one of the eight symmetries: the bits of `symmetry` flip rows, flip columns, transpose."""
    x = x.flip([dim for bit, dim in ((1, 2), (2, 3)) if symmetry & bit])
    return x.transpose(2, 3) if symmetry & 4 else x


def _inverse_transformed(x: Tensor, symmetry: int) -> Tensor:
    x = x.transpose(2, 3) if symmetry & 4 else x
    return x.flip([dim for bit, dim in ((1, 2), (2, 3)) if symmetry & bit])
