"""What glibc does with freed memory: the next step or tile wants all of it again, a tile of another shape does not."""

import ctypes
import sys
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


def give_back_freed_memory() -> bool:
    """Give freed memory back to the system; False where there is no glibc, or nothing to give."""
    trim = _of_libc("malloc_trim")
    return trim is not None and bool(trim(0))


def _of_libc(name: str) -> Any:
    """Return a function of the C library, None where it has none of that name (musl, Windows, macOS)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
