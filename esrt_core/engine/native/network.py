"""NativeESRT: what runs when pictures are upscaled on a CPU in float32, if the library was compiled."""

import threading

import numpy as np
from numpy.typing import NDArray

from esrt_core.engine.native.library import Library, aligned_empty, load_library
from esrt_core.engine.native.packing import CHANNELS, MAX_BLOCKS, Weights, can_run, count_blocks, pack

Tiles = NDArray[np.float32]
Windows = tuple[int, int]

MIN_SIDE = 3  # px
MAX_THREADS = 256
WHOLE: Windows = (1, 1)


class NativeESRT:
    """Enlarge tiles with a trained ESRT: at most 1e-4 away from the plain network in float32, everywhere.

    The bytes of a tile's result depend neither on the batch nor on the number of threads; they may differ between
    kinds of processors. An instance may be called from several threads.
    """

    def __init__(self, weights: Weights, scale: int, library: Library | None = None) -> None:
        """Take float32 `weights` by our parameter names; the first call packs them, so they must not change until then.

        Raises:
            RuntimeError: if no library was compiled for this processor; see `is_available`.
            ValueError: the network has other than the published width; see packing.can_run.
        """
        library = load_library() if library is None else library
        if library is None:
            raise RuntimeError("the native network was not compiled when the package was installed")
        if not can_run(weights):
            raise ValueError(f"the native network has {CHANNELS} channels and at most {MAX_BLOCKS} blocks")
        self.scale = scale
        self._blocks = count_blocks(weights)
        self._library = library
        self._weights = weights
        self._packed: Tiles | None = None
        self._packing = threading.Lock()
        self._workspaces: list[Tiles] = []  # those not in use; a thread takes one or makes another

    @property
    def processor(self) -> str:
        """The kind of processor the library was compiled for: "avx512", "avx2" or "baseline"."""
        return self._library.processor

    def __call__(self, x: Tiles, windows: Windows = WHOLE, threads: int = 1) -> Tiles:
        """Enlarge a batch (B, 3, H, W), RGB in [0, 1], to (B, 3, scale * H, scale * W), not clamped.

        `windows` cuts the attention into (rows, columns) of windows; the default is the paper's form over the whole
        input. Numbers that are not finite spread as in the plain network and are not hidden.

        Raises:
            ValueError: the shape, the windows or the threads are out of range.
        """
        batch, channels, height, width = x.shape
        if channels != 3 or min(height, width) < MIN_SIDE:
            raise ValueError(f"expected tiles of 3 channels and at least {MIN_SIDE} px a side, not {x.shape}")
        if not (1 <= windows[0] <= height and 1 <= windows[1] <= width and 1 <= threads <= MAX_THREADS):
            raise ValueError(f"windows {windows} and threads {threads} do not fit tiles of {width} x {height} px")
        x = np.ascontiguousarray(x, np.float32)
        y = np.empty((batch, 3, self.scale * height, self.scale * width), np.float32)
        if batch:
            self._enlarge(x, y, windows, threads)
        return y

    def correct_colors(self, x: Tiles, y: Tiles, threads: int = 1) -> None:
        """Correct the colors of a result y of the contiguous input x in place, as engine.back_projection does."""
        self._library.correct(x, y, self.scale, threads)

    def release_memory(self) -> None:
        """Release the workspaces that are kept for later calls."""
        self._workspaces.clear()

    def _packed_weights(self) -> Tiles:
        """Pack once, and not before a tile comes: many a network is planned with and then not chosen."""
        with self._packing:
            if self._packed is None:
                self._packed = pack(self._weights, self.scale)
                assert self._packed.size == self._library.weights_size(self.scale, self._blocks)
            return self._packed

    def _enlarge(self, x: Tiles, y: Tiles, windows: Windows, threads: int) -> None:
        needed = self._library.workspace_size(x.shape, self._blocks, windows, threads)
        workspace = self._workspaces.pop() if self._workspaces else aligned_empty(0)
        if workspace.size < needed:
            workspace = aligned_empty(needed)
        pointers = (self._packed_weights().ctypes.data, x.ctypes.data, y.ctypes.data, workspace.ctypes.data)
        self._library.forward(pointers, x.shape, (self.scale, self._blocks), windows, threads)
        self._workspaces.append(workspace)


def is_available() -> bool:
    """Return whether the native network was compiled and this processor can run it."""
    return load_library() is not None
