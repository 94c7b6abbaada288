"""The compiled network: found, checked against its sources, and opened for this processor."""

import ctypes
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
PROCESSORS = ("baseline", "avx2", "avx512")  # what a library's name ends in, by the numbers of processor.c
POINTER, LONG = ctypes.c_void_p, ctypes.c_long
ALIGNMENT = 64  # bytes
Floats = NDArray[np.float32]


def aligned_empty(count: int) -> Floats:
    """Return `count` float32 that begin at a multiple of ALIGNMENT and are not set."""
    memory = np.empty(4 * count + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + 4 * count].view(np.float32)


@dataclass(frozen=True)
class Library:
    """Call the functions that forward.c and colors.c export; they describe them.

    processor   one of PROCESSORS.
    """

    processor: str
    handle: ctypes.CDLL
    digest: str

    def weights_size(self, scale: int, blocks: int) -> int:
        """Return how many float32 the packed weights are."""
        return int(self._function("weights", LONG, [LONG] * 2)(scale, blocks))

    def workspace_size(self, shape: tuple[int, ...], blocks: int, windows: tuple[int, int], threads: int) -> int:
        """Return how many float32 a call needs for a batch of a shape (B, 3, H, W)."""
        batch, _, height, width = shape
        size = self._function("workspace", LONG, [LONG] * 7)
        return int(size(batch, height, width, blocks, *windows, threads))

    def forward(
        self,
        pointers: tuple[int, int, int, int],
        shape: tuple[int, ...],
        network: tuple[int, int],
        windows: tuple[int, int],
        threads: int,
    ) -> None:
        """Enlarge a batch; `pointers` to weights, x, y and workspace, `network` is (scale, blocks)."""
        batch, _, height, width = shape
        enlarge = self._function("forward", None, [POINTER] * 4 + [LONG] * 8)
        enlarge(*pointers, batch, height, width, *network, *windows, threads)

    def correct(self, x: Floats, y: Floats, scale: int, threads: int) -> None:
        """Correct the colors of y (B, 3, scale * H, scale * W), enlarged from x (B, 3, H, W) in [0, 1], in place.

        Both are contiguous float32 and finite; see colors.c.
        """
        batch, channels, height, width = x.shape
        form = (batch * channels, height, width, scale, threads)
        workspace = aligned_empty(int(self._function("correct_workspace", LONG, [LONG] * 5)(*form)))
        pointers = (x.ctypes.data, y.ctypes.data, workspace.ctypes.data)
        self._function("correct", None, [POINTER] * 3 + [LONG] * 5)(*pointers, *form)

    def _function(self, name: str, result: type | None, arguments: list[type]) -> "ctypes._NamedFuncPointer":
        function = self.handle[f"esrt_{name}_{self.digest}"]
        function.restype, function.argtypes = result, arguments
        return function


def sources_digest(folder: Path = FOLDER) -> str:
    """Digest the C sources; every exported name ends in it, so that a library of other sources is not used."""
    digest = hashlib.sha256()
    for path in sorted((*folder.glob("*.c"), *folder.glob("*.h"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def open_library(processor: str, folder: Path = FOLDER) -> Library | None:
    """Open the library for a kind of processor; None if it was not compiled, or from other sources."""
    digest = sources_digest(folder)
    try:
        handle = ctypes.CDLL(str(folder / f"native_{processor}.so"))
        assert handle[f"esrt_forward_{digest}"]
    except (OSError, AttributeError):
        return None
    return Library(processor, handle, digest)


def best_processor(folder: Path = FOLDER) -> str | None:
    """Return the best kind in PROCESSORS that this processor is; None if nothing was compiled."""
    baseline = open_library(PROCESSORS[0], folder)
    if baseline is None:
        return None
    kind = baseline.handle[f"esrt_processor_{baseline.digest}"]
    kind.restype, kind.argtypes = ctypes.c_int, []
    return PROCESSORS[kind()]


@cache
def load_library() -> Library | None:
    """Return the library for this processor, or None: then the fused form in torch takes its place."""
    processor = best_processor()
    return None if processor is None else open_library(processor)
