"""The number of CPU threads of a call, which each Python thread may set for itself; without torch."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_own = threading.local()
_CPUS = Path("/sys/devices/system/cpu")


def cpu_threads() -> int:
    """Return the number of threads that a call from this Python thread uses."""
    return requested_threads() or default_threads()


def requested_threads() -> int | None:
    """Return the number that this Python thread has set, None if it has set none."""
    count: int | None = getattr(_own, "count", None)
    return count


def take_cpu_threads(count: int | None) -> None:
    """Set the number of threads for calls from this Python thread; None for the default."""
    _own.count = count


@contextmanager
def use_cpu_threads(count: int | None) -> Iterator[None]:
    """Use `count` threads for calls from this Python thread in the block; None changes nothing."""
    before = requested_threads()
    if count is not None:
        take_cpu_threads(count)
    try:
        yield
    finally:
        take_cpu_threads(before)


@cache
def default_threads() -> int:
    """Return OMP_NUM_THREADS if it is set, else the number of cores that this process may use."""
    setting = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if setting.isdecimal() and int(setting):
        return int(setting)
    return usable_cores()


def usable_cores(cpus: Path = _CPUS) -> int:
    """Return the number of cores that this process may use; threads that share a core count once."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    usable = os.sched_getaffinity(0)
    try:
        return len({(cpus / f"cpu{cpu}/topology/thread_siblings_list").read_text() for cpu in usable})
    except OSError:
        return len(usable)
