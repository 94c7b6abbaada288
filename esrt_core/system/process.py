"""What glibc does with freed memory: the next step or tile wants all of it again, a tile of another shape does not.

The memory that batches leave behind: those of another shape do not fit into its holes.

How many prepared kernels are kept: oneDNN prepares one for every layer and every shape of its input.

C libraries that write to the terminal, kept quiet.

How long an idle thread waits busily for more work.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

# Parameters of mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
MOST_MMAP = 32 * 2**20  # bytes; the largest that glibc takes
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the life of this process; False where there is no glibc.

    A step of training, or a tile, frees hundreds of megabytes that the next one needs again; the page faults cost 6 to
    8 % of its time.
    """
    mallopt = _of_libc("mallopt")
    return mallopt is not None and bool(mallopt(M_MMAP_THRESHOLD, MOST_MMAP) and mallopt(M_TRIM_THRESHOLD, NEVER))


def release_freed_memory() -> bool:
    """Give freed memory back to the system; False where there is no glibc, or nothing to give."""
    trim = _of_libc("malloc_trim")
    return trim is not None and bool(trim(0))


def _of_libc(name: str) -> Any:
    """Return a function of the C library, None where it has none of that name (musl, Windows, macOS)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None


PIXELS = 80_000  # through the network at least between two clearings; at 15,000 new page faults take a tenth more time


class HeapTrimmer:
    """Clear the process's heap when the shape of tiles changes.

    Without that, 100 pictures of 64 to 200 px made a process grow from 420 to 740 MB.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, int] | None = None
        self._pixels = 0

    def count(self, shape: tuple[int, int], tiles: int) -> None:
        """Take note, before it runs, of a batch of tiles of (height, width) px."""
        if shape != self._shape and self._pixels >= PIXELS:
            release_freed_memory()
            self._pixels = 0
        self._shape = shape
        self._pixels += tiles * shape[0] * shape[1]


ONEDNN_CACHE_CAPACITY = 128  # about ten shapes of tiles; with 1024, its default, pictures of many sizes take 65 MB more


def limit_onednn_cache() -> None:
    """Bound oneDNN's and torch's caches, unless the environment says how; only before the first convolution."""
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(ONEDNN_CACHE_CAPACITY))


_STDERR = 2
_ONE_AT_A_TIME = threading.RLock()  # a second one would take the first one's silence for what to go back to


@contextmanager
def suppress_native_stderr() -> Iterator[None]:
    """Drop what C code writes to standard error: libtiff, libpng and Ray print what they also report as errors."""
    with _ONE_AT_A_TIME, ExitStack() as stack:
        try:
            saved = os.dup(_STDERR)
        except OSError:  # standard error is closed: nothing can be written
            yield
            return
        stack.callback(os.close, saved)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, nowhere)
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(nowhere, _STDERR)
        stack.callback(os.dup2, saved, _STDERR)
        yield


SPIN_COUNT = "10000"  # some tens of microseconds: longer than what lies between two layers


def limit_openmp_spinning() -> None:
    """Let idle threads sleep soon, unless the environment says how they wait; only before torch is imported.

    The OpenMP of torch's Linux builds lets them spin for milliseconds. Where other programs want the cores too, they
    take the time of those that work: a picture then takes several times as long.
    https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
