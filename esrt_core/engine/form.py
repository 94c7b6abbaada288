"""The two forms of the network, and which of them runs.

    NativeForm  in C, on NumPy arrays: on a CPU in float32, if the library was compiled when the package was installed
                and the network has the published width. torch is not imported.
    TorchForm   everything else: GPUs, half precision, other widths, installations without a compiler.

`esrt info` says which one a CPU gets.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from esrt_core.engine.arrays import Array
from esrt_core.engine.gpu import resolve_device
from esrt_core.engine.native.form import NativeForm, can_run_native
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.tiles import QueuingTransfer, Transfer
from esrt_core.weights.tensors import Weights

Windows = tuple[int, int]


class Form(Protocol):
    """Run batches of tiles on a device.

    device         its name, such as "cpu" or "cuda:0".
    precision      "fp32", "fp16" or "bf16".
    fallbacks      tiles that were invalid in half precision and were recomputed in float32.
    memory_errors  what is raised if memory runs out.
    """

    device: str
    precision: str
    fallbacks: int
    memory_errors: tuple[type[Exception], ...]

    def __call__(self, x: Array, windows: Windows, batch: int, exact: bool) -> Array:
        """Enlarge tiles (B, 3, h, w) in [0, 1] to (B, 3, scale * h, scale * w) in [0, 1], colors corrected.

        `batch` is the usual number of tiles; `exact` asks for float32.

        Raises: WeightsError if a float32 result is not finite.
        """

    def transfer(self) -> Transfer:
        """Return what moves the tiles of some pictures to the device and back."""

    def computing(self) -> AbstractContextManager[None]:
        """Prepare this thread for calls in a block."""

    def release_memory(self) -> None:
        """Release memory that is kept for later calls, after it ran out."""


class QueuingForm(Form, Protocol):
    """A form on a device that works through a queue: a GPU."""

    def transfer(self) -> QueuingTransfer:
        """Return what moves the tiles of some pictures to the device and back."""

    def deferred_checks(self) -> AbstractContextManager[Sequence[Array]]:
        """Defer checks in a block, to avoid waiting: yield booleans that are true if a result is invalid."""


def choose_form(weights: Weights, options: EngineOptions) -> Form:
    """Return the form that runs a network.

    Raises: DeviceError if the device cannot be used.
    """
    device = resolve_device(options.device)
    if device == "cpu" and options.precision in ("auto", "fp32") and can_run_native(weights):
        return NativeForm(weights, options.tta)
    from esrt_core.engine.fused.form import TorchForm

    return TorchForm(weights, device, options)
