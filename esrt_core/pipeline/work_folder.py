"""The folder of unfinished work: one run at a time."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from esrt_core.errors import TargetError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and hold it while the block runs; raise TargetError where another run holds it.

    The system lets go of the lock when the program ends, however it ends.
    """
    try:
        folder.mkdir(exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise TargetError(f"{folder} cannot be written: {error.strerror}") from error
    with file:
        try:
            _lock(file)
        except OSError as error:
            raise TargetError(f"another run is working on this clip, in {folder}; wait for it") from error
        yield


def remove(folder: Path) -> None:
    """Remove a work folder with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
