"""The native form of the network: tiles as NumPy arrays, in C, on a CPU in float32; see esrt_core.engine.form."""

from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from esrt_core.engine.native.library import load_library
from esrt_core.engine.native.network import NativeESRT
from esrt_core.engine.native.packing import can_run
from esrt_core.engine.symmetries import restored, symmetries, transformed
from esrt_core.engine.threads import cpu_threads
from esrt_core.engine.tiles import HostTransfer
from esrt_core.errors import WeightsError
from esrt_core.system.process import HeapTrimmer
from esrt_core.weights.tensors import Weights

Tiles = NDArray[np.float32]


class NativeForm:
    """Run the native network in float32, in cpu_threads() threads; `tta` averages the eight flips and rotations."""

    device = "cpu"
    precision = "fp32"
    fallbacks = 0
    memory_errors: tuple[type[Exception], ...] = (MemoryError,)

    def __init__(self, weights: Weights, tta: bool = False) -> None:
        self._network = NativeESRT(weights.tensors, weights.scale)
        self._tta = tta
        self._heap = HeapTrimmer()

    def __call__(self, x: Tiles, windows: tuple[int, int], batch: int, exact: bool) -> Tiles:
        """Enlarge tiles as a Form does; the bytes of a result do not depend on the batch."""
        x, threads = np.ascontiguousarray(x), cpu_threads()
        self._heap.count((x.shape[2], x.shape[3]), len(x))
        y: Tiles | None = None
        for symmetry in symmetries(self._tta):
            part = self._network(transformed(x, symmetry), windows[::-1] if symmetry & 4 else windows, threads)
            y = part if y is None else y + restored(part, symmetry)
        assert y is not None
        if self._tta:
            y /= 8
        if not np.isfinite(y.sum()):
            raise WeightsError("the network's result is not finite in float32: the weights are damaged, choose others")
        self._network.correct_colors(x, y, threads)
        return y

    def transfer(self) -> HostTransfer:
        """Return what hands tiles over in place."""
        return HostTransfer()

    def computing(self) -> nullcontext[None]:
        """Do nothing: there is nothing to prepare."""
        return nullcontext()

    def release_memory(self) -> None:
        """Release the workspace, which has the size of the largest tile so far."""
        self._network.release_memory()


def can_run_native(weights: Weights) -> bool:
    """Return whether the native network was compiled for this processor and takes these weights."""
    return load_library() is not None and can_run(weights.tensors)
