"""Run a network on a device: batches of tiles in, checked results out, as a replayed CUDA graph on a GPU."""

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

RECORD_AT = 6  # calls in a row with inputs of one shape; more than the four with one shape in --tta
MEMORY_FACTOR = 2  # of the memory of a call must be free to record, because a graph keeps its own

Windows = tuple[int, int]


class Native:
    """Call the native network with tensors, in as many threads as torch has."""

    def __init__(self, network: NativeESRT) -> None:
        self._network = network

    def __call__(self, x: Tensor, windows: Windows) -> Tensor:
        """Return the network's result for x (B, 3, H, W) on the CPU."""
        return torch.from_numpy(self._network(x.numpy(), windows, torch.get_num_threads()))


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


class Runner:
    """Run batches (B, 3, h, w) in [0, 1] to (B, 3, scale * h, scale * w), float32 in [0, 1], on `device`.

    precision  "fp32", "fp16" or "bf16"; results that are invalid in half precision are recomputed in float32, and
               `fallbacks` counts them.
    plain      run the original network in float32; else a CPU in float32 runs the native network if it was compiled,
               and everything else the fused form.
    tta        average the eight flips and rotations.
    """

    def __init__(
        self, network: ESRT, device: torch.device, precision: str = "fp32", plain: bool = False, tta: bool = False
    ) -> None:
        self.device = device
        self.fallbacks = 0
        self._deferred: list[Tensor] | None = None  # checks to be read later
        self._tta = tta
        self._full: CudaGraphRunner | Native = _float32_form(network, device, plain)
        full_only = plain or precision == "fp32"
        self._half = None if full_only else CudaGraphRunner(fuse(network, DTYPES[precision]).to(device))

    def __call__(self, x: Tensor, windows: Windows, batch: int = 1, fp32: bool = False) -> Tensor:
        """Run a batch; `fp32` overrides the precision.

        A smaller batch is padded to `batch`, except on a CPU, where results do not depend on the size of the batch.

        Raises: WeightsError if a float32 result is not finite.
        """
        if self.device.type != "cpu" and len(x) < batch:
            return self(torch.cat([x, x[-1:].expand(batch - len(x), -1, -1, -1)]), windows, batch, fp32)[: len(x)]
        if self._half is None or fp32:
            return correct_colors(x, self._in_float32(x, windows))
        y = self._ensemble(self._half, x, windows)
        invalid = is_invalid(x, y)
        if self._deferred is not None:
            self._deferred.append(invalid.any())
        elif invalid.any():
            self.fallbacks += int(invalid.sum())
            y[invalid] = self._in_float32(x[invalid], windows)
        return correct_colors(x, y)

    @contextlib.contextmanager
    def deferred_checks(self) -> Iterator[list[Tensor]]:
        """Defer checks, to avoid synchronizing: yield a list of boolean tensors, true if the results are invalid."""
        deferred: list[Tensor] = []
        self._deferred = deferred
        try:
            yield deferred
        finally:
            self._deferred = None

    def _in_float32(self, x: Tensor, windows: Windows) -> Tensor:
        with _without_tf32(self.device):
            y = self._ensemble(self._full, x, windows)
        finite = torch.isfinite(y.sum())
        if self._deferred is not None:
            self._deferred.append(~finite)
        elif not finite:
            raise WeightsError("the network's result is not finite in float32: the weights are damaged, choose others")
        return y

    def _ensemble(self, network: CudaGraphRunner | Native, x: Tensor, windows: Windows) -> Tensor:
        """Run once, or average the eight flips and rotations."""
        if not self._tta:
            return _run(network, x, windows)
        total = torch.zeros(())
        for symmetry in range(8):
            transformed_windows = windows[::-1] if symmetry & 4 else windows
            total = total.to(x.device) + _inverse_transform(
                _run(network, _transform(x, symmetry), transformed_windows), symmetry
            )
        return total / 8


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


def _is_constant(x: Tensor) -> Tensor:
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


def _transform(x: Tensor, symmetry: int) -> Tensor:
    """Apply one of the eight symmetries: the bits of `symmetry` flip rows, flip columns, transpose."""
    x = x.flip([dim for bit, dim in ((1, 2), (2, 3)) if symmetry & bit])
    return x.transpose(2, 3) if symmetry & 4 else x


def _inverse_transform(x: Tensor, symmetry: int) -> Tensor:
    x = x.transpose(2, 3) if symmetry & 4 else x
    return x.flip([dim for bit, dim in ((1, 2), (2, 3)) if symmetry & bit])
