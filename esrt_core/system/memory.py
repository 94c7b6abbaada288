"""The memory of this machine, within the limits of the container that the process runs in."""

from pathlib import Path
from typing import Any

CGROUP = Path("/sys/fs/cgroup")  # of the container: it sees its own limits at the root (cgroup v2)


def total_bytes(cgroup: Path = CGROUP) -> int:
    """Return the memory of the machine in bytes, or the container's limit if that is lower."""
    limit = _read_bytes(cgroup / "memory.max")
    total: int = _virtual_memory().total
    return total if limit is None else min(total, limit)


def available_bytes(cgroup: Path = CGROUP) -> int:
    """Return the bytes that can be used without swapping, within the container's limit."""
    limit, used = _read_bytes(cgroup / "memory.max"), _read_bytes(cgroup / "memory.current")
    available: int = _virtual_memory().available
    return available if limit is None or used is None else min(available, max(limit - used, 0))


def _virtual_memory() -> Any:
    import psutil  # when it is needed: a picture is upscaled without

    return psutil.virtual_memory()


def _read_bytes(path: Path) -> int | None:
    """Return the number in a cgroup file, None if there is no such file or no limit ("max")."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
