"""What a failed picture says about itself, about all others, and about this program.

An exception outside the error tree is a fault of this program. It costs the picture that ran into it; its traceback is
kept in a file in the folder of results. A fault that several pictures in a row run into ends the run.
"""

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from esrt_core.errors import EsrtError, TargetError
from esrt_core.pipeline.batch.storage import join, named, store_of

FAULT_LOG = "esrt-faults.log"
IN_A_ROW = 3  # pictures with the same traceback: the next ones would fail too
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
_MOST = 100  # tracebacks in the files of one run; the cause of more has been seen by then


@dataclass(frozen=True)
class Fault:
    """Describe a fault of this program; it can be sent to another machine.

    text   the traceback.
    place  what went wrong and where, without the message, which may name the picture.
    """

    text: str
    place: tuple[str, ...]


def fault_of(error: Exception) -> Fault | None:
    """Return the fault that an exception stands for, or None if its cause is a file, an option or the machine."""
    if isinstance(error, EsrtError | MemoryError) or is_lost_device(error) or is_lost_disk(error):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    place = tuple(f"{frame.filename}:{frame.lineno}" for frame in frames)
    return Fault("".join(traceback.format_exception(error)), (type(error).__qualname__, *place))


def reason_of(error: Exception, source: str) -> str:
    """Return why a picture failed, on one line; `source` is its name for messages."""
    if isinstance(error, EsrtError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{source}: out of memory; a smaller size needs less"
    message = " ".join(str(error).split())[:200]
    if is_lost_device(error):
        return f"the device failed ({message}); restart this machine or use another --device"
    if is_lost_disk(error):
        return f"{source}: {message}; free some space, or check the disk"
    return f"{source}: a fault in esrt ({type(error).__name__}{f': {message}' if message else ''}); see {FAULT_LOG}"


def is_lost_device(error: Exception) -> bool:
    """Return whether torch reports that a GPU answers no more; by name, so that torch is not imported for it."""
    return any(kind.__name__ == "AcceleratorError" for kind in type(error).__mro__)


def is_lost_disk(error: Exception) -> bool:
    """Return whether a file could not be written because its disk is full, broken or disconnected."""
    system = error.__cause__ if isinstance(error, TargetError) else error
    return isinstance(system, OSError) and system.errno in STOPPING


class FaultCounter:
    """Keep the tracebacks of a run's faults in files, and tell when one of them happens again and again.

    `append(folder, text)` appends to the file in a folder of results and returns the file's name for messages.
    """

    def __init__(self, append: Callable[[str, str], str]) -> None:
        self._append = append
        self._count = 0
        self._row: list[Fault] = []
        self.logs: list[str] = []

    def add(self, fault: Fault | None, source: str, folder: str) -> bool:
        """Count a picture that ended, with a fault or without; return whether the fault is one too many in a row.

        Raises: TargetError or RemoteError if the file cannot be written.
        """
        if fault is None:
            self._row.clear()
            return False
        if self._row and self._row[-1].place != fault.place:
            self._row.clear()
        self._row.append(fault)
        self.keep(fault, source, folder)
        return len(self._row) >= IN_A_ROW

    def keep(self, fault: Fault, source: str, folder: str) -> None:
        """Keep the traceback of a fault.

        Raises: TargetError or RemoteError if the file cannot be written.
        """
        self._count += 1
        if self._count <= _MOST:
            log = self._append(folder, f"{source}\n{fault.text}\n")
            self.logs += [log] if log not in self.logs else []


def append_fault(folder: str, text: str) -> str:
    """Append a traceback to the file for them in a folder of results, and return the file's name.

    Raises: TargetError or RemoteError if it cannot be written.
    """
    location = join(folder, FAULT_LOG)
    store_of(location).append(location, f"{text}\n".encode(errors="backslashreplace"))
    return str(named(location))
