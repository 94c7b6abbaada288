"""What an error says about a picture, and whether it concerns all of them."""

import errno
from pathlib import Path

from esrt_core.errors import DeviceError, EsrtError, MediaError, TargetError
from esrt_core.pipeline.folder_plan import Task

STOPPING = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ENODEV,
    errno.ENXIO,
    errno.ESTALE,
    errno.ENOTCONN,
)


def stops_all(error: Exception, task: Task) -> bool:
    """Tell whether an error concerns every picture: a full disk, a drive that went away, a device."""
    if isinstance(error, MediaError):
        return not is_there(task.source.parent)
    system = error if isinstance(error, OSError) else error.__cause__
    if isinstance(error, OSError | TargetError):
        return not task.place.is_there() or (isinstance(system, OSError) and system.errno in STOPPING)
    return isinstance(error, DeviceError)


def reason_of(error: Exception) -> str:
    """Say why a picture failed, on one line."""
    if isinstance(error, EsrtError):
        return str(error)
    if isinstance(error, MemoryError):
        return "memory ran out; a smaller size needs less"
    return f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


def is_there(path: Path) -> bool:
    """Tell whether a path can be looked at; unlike Path.exists(), also where a drive that went away answers EIO."""
    try:
        path.stat()
    except OSError:
        return False
    return True
