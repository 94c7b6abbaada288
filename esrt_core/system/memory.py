"""How much memory this machine, or the container we are in, has left."""

from pathlib import Path

ASSUMED = 4 * 2**30  # bytes, where the system does not say
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def available_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Return the bytes that can be taken without swapping, by Linux's account; ASSUMED on other systems."""
    of_machine = _of_machine(meminfo)
    of_container = _of_container(cgroup)
    return of_machine if of_container is None else min(of_machine, of_container)


def _of_machine(meminfo: Path) -> int:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return ASSUMED
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else ASSUMED


def _of_container(cgroup: Path) -> int | None:
    try:
        limit, used = ((cgroup / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdecimal() else None
