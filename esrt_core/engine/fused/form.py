"""The form of the network in torch: on GPUs as a replayed CUDA graph; see esrt_core.engine.form."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from esrt_core.engine.back_projection import correct_colors
from esrt_core.engine.device import DTYPES, choose_precision, use_torch_threads
from esrt_core.engine.fused.network import fuse
from esrt_core.engine.fused.transfer import DeviceTransfer
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.symmetries import restored, symmetries, transformed
from esrt_core.engine.threads import requested_threads
from esrt_core.errors import WeightsError
from esrt_core.system.process import HeapTrimmer
from esrt_core.weights.checkpoint import make_network
from esrt_core.weights.tensors import Weights

RECORD_AT = 6  # calls in a row with inputs of one shape; more than the four with one shape in --tta
MEMORY_FACTOR = 2  # of the memory of a call must be free to record, because a graph keeps its own

Windows = tuple[int, int]
Network = Callable[[Tensor, Windows], Tensor]


class CudaGraphRunner:
    """Call a network with `(x, windows)`; on CUDA record a graph once a shape has been repeated, and replay it.

    This launches the network's hundreds of kernels at once. One graph is kept, if memory allows. A replayed result is
    valid until the next call.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._key: tuple[torch.Size, Windows] | None = None
        self._calls = 0
        self._recording: tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None = None

    def __call__(self, x: Tensor, windows: Windows) -> Tensor:
        """Return the network's result for x (B, 3, H, W), channels last."""
        key = (x.shape, windows)
        if key != self._key:
            if self._recording is not None:
                torch.cuda.synchronize()  # it may still be running
            self._key, self._calls, self._recording = key, 0, None
        self._calls += 1
        if x.is_cuda and self._calls == RECORD_AT and _can_record(x.device):
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


class TorchForm:
    """Run a network in torch on any device: fused, in float32 or half precision, or the plain one for tile 0.

    Results that are invalid in half precision are recomputed in float32, and `fallbacks` counts them. `options` are
    those of the engine, but its device.
    """

    memory_errors: tuple[type[Exception], ...] = (torch.OutOfMemoryError, MemoryError)

    def __init__(self, weights: Weights, device: str, options: EngineOptions) -> None:
        network = make_network(weights)
        self._device = torch.device(device)
        self.device = device
        self.precision = choose_precision(options, self._device)
        self.fallbacks = 0
        self._deferred: list[Tensor] | None = None  # checks to be read later
        self._tta = options.tta
        self._heap = HeapTrimmer()
        plain = options.tile == 0
        half = None if plain or self.precision == "fp32" else fuse(network, DTYPES[self.precision])
        self._full = self._placed(network.requires_grad_(False) if plain else fuse(network))
        self._half = None if half is None else self._placed(half)

    def _placed(self, network: nn.Module) -> Network:
        network = network.to(self._device)
        return CudaGraphRunner(network) if self._device.type == "cuda" else network

    def __call__(self, x: Tensor, windows: Windows, batch: int = 1, exact: bool = False) -> Tensor:
        """Enlarge tiles as a Form does.

        A smaller batch is padded to `batch`, except on a CPU, where results do not depend on the size of the batch.
        """
        count = len(x)
        if self._device.type == "cpu":
            self._heap.count((x.shape[2], x.shape[3]), count)
        elif count < batch:
            x = torch.cat([x, x[-1:].expand(batch - count, -1, -1, -1)])
        half = None if exact else self._half
        y = self._average(self._full if half is None else half, x, windows)
        self._check(x, y, windows, exact=half is None)
        return correct_colors(x, y)[:count]

    def transfer(self) -> DeviceTransfer:
        """Return what copies the tiles of some pictures to the device and back."""
        return DeviceTransfer(self._device)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Prepare this thread: torch keeps no gradients, and has as many CPU threads as the engine."""
        with use_torch_threads(requested_threads()), torch.inference_mode():
            yield

    def release_memory(self) -> None:
        """Release memory that torch keeps on a GPU."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @contextlib.contextmanager
    def deferred_checks(self) -> Iterator[list[Tensor]]:
        """Defer checks, to avoid synchronizing: yield a list of boolean tensors, true if the results are invalid."""
        deferred: list[Tensor] = []
        self._deferred = deferred
        try:
            yield deferred
        finally:
            self._deferred = None

    def _average(self, network: Network, x: Tensor, windows: Windows) -> Tensor:
        """Run once, or average the eight flips and rotations."""
        with _without_tf32(self._device) if network is self._full else contextlib.nullcontext():
            if not self._tta:
                return network(_channels_last(x), windows)
            total = torch.zeros((), device=x.device)
            for symmetry in symmetries(self._tta):
                turned = _channels_last(transformed(x, symmetry))
                total = total + restored(network(turned, windows[::-1] if symmetry & 4 else windows), symmetry)
            return total / 8

    def _check(self, x: Tensor, y: Tensor, windows: Windows, exact: bool) -> None:
        """Recompute what is invalid in half precision; raise WeightsError if a result is not finite in float32."""
        invalid = ~torch.isfinite(y.sum()) if exact else is_invalid(x, y)
        if self._deferred is not None:
            self._deferred.append(invalid.any())
        elif invalid.any():
            if exact:
                raise WeightsError(
                    "the network's result is not finite in float32: the weights are damaged, choose others"
                )
            self.fallbacks += int(invalid.sum())
            again = self._average(self._full, x[invalid], windows)
            self._check(x[invalid], again, windows, exact=True)
            y[invalid] = again


def is_invalid(x: Tensor, y: Tensor) -> Tensor:
    """Return which results of a batch are not finite, or constant although the input is not: (B,) bool."""
    not_finite = ~torch.isfinite(y.sum((1, 2, 3)))
    return not_finite | (_is_constant(y) & ~_is_constant(x))


def _can_record(device: torch.device) -> bool:
    """Release cached memory, and return whether there is enough for a recording besides a call."""
    call = torch.cuda.memory_reserved(device)
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0] >= MEMORY_FACTOR * call


def _without_tf32(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Keep cuDNN from rounding float32 factors to the eleven bits of TensorFloat-32, as it does by default."""
    if device.type != "cuda":
        return contextlib.nullcontext()
    cudnn = torch.backends.cudnn
    flags: contextlib.AbstractContextManager[None] = cudnn.flags(
        cudnn.enabled, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
    return flags


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _is_constant(x: Tensor) -> Tensor:
    return (x.amax((2, 3)) == x.amin((2, 3))).all(1)
