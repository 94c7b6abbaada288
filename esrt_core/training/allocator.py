"""Keep the memory of one step for the next: glibc gives it back to the system and asks for it again, page by page."""

import ctypes
import sys

# Parameters of mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
MOST_MMAP = 32 * 2**20  # bytes; the largest that glibc takes
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the life of this process; False where there is no glibc.

    A step on a CPU frees hundreds of megabytes that the next one needs again; the page faults cost 6 to 8 % of it.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, MOST_MMAP) and mallopt(M_TRIM_THRESHOLD, NEVER))
