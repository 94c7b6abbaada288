"""RunLock: which runs are alive in a folder, and which of them has which file in hand.

Locks belong to the process: the system lets go of them when it ends, however it ends.
"""

import errno
import hashlib
import sys
from pathlib import Path
from typing import IO

from esrt_core.errors import TargetError
from esrt_core.files import display_name

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_ALIVE = 0  # the byte that every run holds, shared; the other bytes stand for files


class RunLock:
    """Hold a place among the runs of one folder, and claim single files.

    `alone` says that no other run was alive in the folder when this one came. Raise TargetError where the lock file
    cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a+b")
            self.alone = _try_lock(self._file, _ALIVE)
            _stay(self._file, self.alone)
        except OSError as error:
            raise TargetError(
                f"{display_name(path)} cannot be locked: {error.strerror}; choose another folder with -o"
            ) from error

    def claim(self, name: str) -> bool:
        """Take a name for this run; say no where another run has it."""
        return _try_lock(self._file, _byte_of(name))

    def release(self, name: str) -> None:
        """Give a name back."""
        _unlock(self._file, _byte_of(name))

    def close(self) -> None:
        """Leave the folder, with all names."""
        self._file.close()


def _byte_of(name: str) -> int:
    """Return the byte that stands for a name: far beyond the end of the file, and another one for every name."""
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
    return 1 + (int.from_bytes(digest, "big") >> 2)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes], byte: int) -> bool:
        file.seek(byte)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise
        return True

    def _stay(file: IO[bytes], alone: bool) -> None:
        if not alone:  # there are no shared locks
            raise OSError(errno.EACCES, "another run is working in this folder")

    def _unlock(file: IO[bytes], byte: int) -> None:
        file.seek(byte)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(file: IO[bytes], byte: int) -> bool:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise
        return True

    def _stay(file: IO[bytes], alone: bool) -> None:
        fcntl.lockf(file, fcntl.LOCK_SH, 1, _ALIVE)

    def _unlock(file: IO[bytes], byte: int) -> None:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)
