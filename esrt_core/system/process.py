"""The process: settings that the program makes at start-up, freed memory, and the standard error of C libraries.

Nothing here is changed by importing or using the package. A program that upscales or trains calls configure_process();
so may others that use the package as a library.
"""

import ctypes
import gc
import io
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Parameters of mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
MAX_MMAP_THRESHOLD = 32 * 2**20  # bytes; the largest that glibc accepts
NEVER = 2**31 - 1

SPIN_COUNT = "10000"  # some tens of microseconds: longer than the gap between two layers
ONEDNN_CACHE_CAPACITY = 128  # about ten shapes of tiles; 1024, the default, takes 65 MB more for pictures of many sizes
NEW_OBJECTS = 20_000  # between two collections of garbage; Python's own is 700
MIN_TRIM_PIXELS = 80_000  # through the network between two trims; with 15,000, page faults cost a tenth more time

_STDERR = 2
_OWN = threading.Event()


def configure_process() -> None:
    """Configure this process for upscaling and training; call it before NumPy and torch are imported.

    Sets what the environment does not: OPENBLAS_NUM_THREADS (on x86), GOMP_SPINCOUNT, ONEDNN_PRIMITIVE_CACHE_CAPACITY
    and LRU_CACHE_CAPACITY; and on glibc the thresholds of malloc. Garbage is collected more rarely. Python's standard
    error gets a descriptor of its own, and from now on the settings of decoders are this program's (see
    is_own_process). Results do not depend on it, only time and memory.
    """
    limit_numpy_threads()
    limit_openmp_spinning()
    limit_onednn_cache()
    keep_freed_memory()
    collect_garbage_rarely()
    separate_stderr()
    _OWN.set()


def is_own_process() -> bool:
    """Return whether settings that are global to the process may be kept, not restored after every use."""
    return _OWN.is_set()


def separate_stderr() -> None:
    """Write Python's standard error through another descriptor, so that dropping C code's output drops none of ours."""
    stream = sys.stderr
    if not isinstance(stream, io.TextIOWrapper) or stream is not sys.__stderr__:
        return
    try:
        if stream.fileno() != _STDERR:
            return
        own = os.dup(_STDERR)
    except (OSError, ValueError):  # closed, or not a file
        return
    stream.flush()
    encoding, errors = stream.encoding, stream.errors
    sys.stderr = open(own, "w", 1, encoding, errors, closefd=False)  # noqa: SIM115 - for the process's life


def limit_numpy_threads() -> None:
    """Let NumPy multiply matrices in the calling thread, unless the environment says otherwise; before its import.

    OpenBLAS starts a thread for every core, and all wait busily for each other. Ours are small matrices, of weights and
    of parts of pictures; on a busy machine the waiting took a third of a small picture's time. Only on x86: elsewhere
    torch has an OpenBLAS too, which reads the same setting.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def limit_openmp_spinning() -> None:
    """Let idle OpenMP threads sleep soon, unless the environment sets how they wait; only before torch is imported.

    The OpenMP of torch's Linux builds lets them spin for milliseconds. If other programs need the cores too, they take
    time from the threads that work: a picture then takes several times as long.
    https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def limit_onednn_cache() -> None:
    """Limit the caches of prepared kernels in oneDNN and torch, unless the environment does; before a convolution.

    oneDNN prepares one for every layer and every shape of its input.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(ONEDNN_CACHE_CAPACITY))


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the life of this process; return False without glibc.

    A training step or a tile frees hundreds of megabytes that the next one needs again; the page faults cost 6 to 8 %
    of its time.
    """
    mallopt = _libc_function("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, MAX_MMAP_THRESHOLD) and mallopt(M_TRIM_THRESHOLD, NEVER))


def collect_garbage_rarely() -> None:
    """Look for garbage in cycles after NEW_OBJECTS more objects.

    Modules that are imported make many, and all of them stay; looking at them again and again took a tenth of the time
    of a small picture.
    """
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


def release_freed_memory() -> bool:
    """Return freed memory to the system; return False without glibc, or if there is none."""
    trim = _libc_function("malloc_trim")
    return trim is not None and bool(trim(0))


class HeapTrimmer:
    """Release freed memory when the shape of tiles changes, because other shapes do not fit into its gaps.

    Without that, 100 pictures of 64 to 200 px made a process grow from 420 to 740 MB.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, int] | None = None
        self._pixels = 0

    def count(self, shape: tuple[int, int], tiles: int) -> None:
        """Count a batch of tiles of (height, width) px before it runs."""
        if shape != self._shape and self._pixels >= MIN_TRIM_PIXELS:
            release_freed_memory()
            self._pixels = 0
        self._shape = shape
        self._pixels += tiles * shape[0] * shape[1]


@contextmanager
def suppress_native_stderr() -> Iterator[None]:
    """Drop what C code writes to standard error: libtiff, libpng and Ray print what they also report as errors.

    Several threads may do so at a time: the first redirects the descriptor, the last restores it.
    """
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()


class _Silence:
    """Redirect the descriptor of standard error while at least one thread wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved: int | None = None

    def begin(self) -> None:
        """Redirect the descriptor, unless it is redirected already."""
        with self._lock:
            if not self._users:
                self._saved = _redirect_stderr()
            self._users += 1

    def end(self) -> None:
        """Restore the descriptor if no other thread needs it redirected."""
        with self._lock:
            self._users -= 1
            if not self._users and self._saved is not None:
                os.dup2(self._saved, _STDERR)
                os.close(self._saved)
                self._saved = None


_SILENCE = _Silence()


def _redirect_stderr() -> int | None:
    """Point the descriptor of standard error to nowhere; return a copy of it, None if it is closed or none is free."""
    try:
        saved = os.dup(_STDERR)
        null = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        return None
    if sys.stderr is not None:
        sys.stderr.flush()
    os.dup2(null, _STDERR)
    os.close(null)
    return saved


def _libc_function(name: str) -> Any:
    """Return a function of the C library, None if it has none of that name (musl, Windows, macOS)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
