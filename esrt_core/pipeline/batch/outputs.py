"""Output folders: each with its manifest, its lock, and the key of the job whose results it holds.

The lock tells which runs are alive in a folder and which of them is working on which target. It belongs to the
process: the operating system releases it when the process ends, however it ends.
"""

import errno
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from esrt_core.errors import TargetError
from esrt_core.files import TEMPORARY_MARK, display_name, make_folder
from esrt_core.media.image.picture import ReadLimits
from esrt_core.pipeline.batch.manifest import LOCK_NAME, Entry, Manifest
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.sizes import SizeRequest, cheapest_chain, decimal_text, own_factor
from esrt_core.selection import ModelChain, UpscalerPool
from esrt_core.weights.store import WeightsFile

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_ALIVE = 0  # byte that every run locks shared; the other bytes stand for files
_LONG = 200  # bytes of a temporary name from which its stem may have been shortened


@dataclass(frozen=True)
class JobKey:
    """Hold the options that decide a result's bytes, and a hash of them."""

    id: str
    options: Mapping[str, Any]


def job_key(options: FolderOptions, pool: UpscalerPool) -> JobKey:
    """Return the key of a command; devices and options that only select pictures are not part of it."""
    requested = options.upscale
    size = {name: decimal_text(value) for name, value in asdict(requested.size).items() if value is not None}
    described: dict[str, Any] = {
        "size": size or {"factor": decimal_text(own_factor(pool.scales))},
        "format": requested.format,
        "weights": {name: file.sha256 for name, file in weights_needed(requested.size, pool).items()},
        "precision": requested.engine.precision,
        "tile": requested.engine.tile,
        "tta": requested.engine.tta,
        "encode": {name: value for name, value in asdict(requested.encode).items() if (name, value) != ("dpi", None)},
        "compare": requested.compare,
        "name": options.name,
    }
    if requested.strength is not None:  # left out otherwise, so that ids of earlier versions stay
        described["strength"] = requested.strength
    text = json.dumps(described, sort_keys=True)
    return JobKey(hashlib.sha256(text.encode()).hexdigest()[:16], described)


def weights_needed(size: SizeRequest, pool: UpscalerPool) -> dict[str, WeightsFile]:
    """Return the weights that may be used, by kind of chain, pass and scale; those for drawings are left out.

    So a folder that version 0.1.0 began, which never chose them, is not done again.

    Raises: OptionError if the factor cannot be reached with them.
    """
    files = {}
    for kind, chain in zip(("plain", "damaged"), pool.selector.all(), strict=False):
        for pass_index, scale in _passes_needed(size, chain):
            name = f"{kind} {'later' if pass_index else 'first'} x{scale}"
            files[name] = pool.for_chain(chain).weights(scale, pass_index)
    return files


def _passes_needed(size: SizeRequest, chain: ModelChain) -> Iterator[tuple[int, int]]:
    """Yield (pass index, scale) of the passes that a picture may take."""
    if size.is_in_pixels:
        yield from chain.passes()
    else:
        factor = size.factor or Fraction(own_factor(chain.scales))
        yield from enumerate(cheapest_chain(factor, chain.scales, chain.later_scales))


def limits_text(limits: ReadLimits) -> str:
    """Return the read limits as the manifest records them with a failure."""
    return f"{limits.max_pixels}{' truncated' if limits.allow_truncated else ''}"


class RunLock:
    """Register this run in a folder and claim single files in it.

    `alone` is true if no other run was alive in the folder at the start.

    Raises: TargetError if the lock file cannot be created or locked.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a+b")
            self.alone = _try_lock(self._file, _ALIVE)
            _hold_alive_byte(self._file, self.alone)
        except OSError as error:
            raise TargetError(
                f"{display_name(path)} cannot be locked: {error.strerror}; choose another folder with -o"
            ) from error

    def claim(self, name: str) -> bool:
        """Claim a name for this run; return False if another run holds it."""
        return _try_lock(self._file, _byte_of(name))

    def release(self, name: str) -> None:
        """Release a name."""
        _unlock(self._file, _byte_of(name))

    def close(self) -> None:
        """Release the folder and all names."""
        self._file.close()


def _byte_of(name: str) -> int:
    """Return the byte offset that stands for a name: far beyond the end of the file, distinct for every name."""
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

    def _hold_alive_byte(file: IO[bytes], alone: bool) -> None:
        if not alone:  # Windows has no shared locks
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

    def _hold_alive_byte(file: IO[bytes], alone: bool) -> None:
        fcntl.lockf(file, fcntl.LOCK_SH, 1, _ALIVE)

    def _unlock(file: IO[bytes], byte: int) -> None:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)


class OutputFolder:
    """Manage one folder of results and its manifest; open() creates and locks the folder."""

    def __init__(self, manifest: Manifest) -> None:
        self.root = manifest.folder
        self.manifest = manifest
        self._lock: RunLock | None = None
        self._disk: int | None = None
        self._mutex = threading.Lock()

    def open(self, job: JobKey) -> None:
        """Create the folder, register this run in it, and record the job.

        Raises: TargetError if the folder cannot be created, locked or written.
        """
        make_folder(self.root)
        self._disk = self.root.stat().st_dev
        self._lock = RunLock(self.root / LOCK_NAME)
        self.manifest.begin(job.id, job.options)

    def close(self) -> None:
        """Release the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_reachable(self) -> bool:
        """Return whether the opened folder still exists on the same disk."""
        try:
            return self.root.stat().st_dev == self._disk
        except OSError:
            return False

    def check_reachable(self) -> None:
        """Raise TargetError if the folder is gone: recreating it would fill the disk below the mount point."""
        if not self.is_reachable():
            raise TargetError(f"{display_name(self.root)} is gone: it was moved or its drive disconnected; restore it")

    def claim(self, key: str) -> bool:
        """Claim a target for this run and reload the manifest; return False if another run holds it."""
        try:
            if self._lock is None or not self._lock.claim(key):
                return False
        except OSError as error:
            raise TargetError(f"{display_name(self.root)} cannot be locked: {error.strerror}") from error
        with self._mutex:
            self.manifest.refresh()
        return True

    def release(self, key: str) -> None:
        """Release a target."""
        if self._lock is not None:
            with suppress(OSError):  # the drive is gone, and the lock with it
                self._lock.release(key)

    def note(self, entry: Entry) -> None:
        """Append an entry to the manifest."""
        with self._mutex:
            self.manifest.add(entry)

    def outcome(self, location: str, job: JobKey) -> Entry | None:
        """Return the last entry of a picture, as Manifest.outcome() does."""
        with self._mutex:
            return self.manifest.outcome(self.manifest.name_of(location), job.id)

    def remove_leftovers(self, targets: Iterable[Path]) -> int:
        """Remove the temporary files of dead runs beside targets and count them; skip while other runs are alive."""
        if self._lock is None or not self._lock.alone:
            return 0
        return sum(_remove(path) for path in self.leftovers(targets))

    def leftovers(self, targets: Iterable[Path]) -> list[Path]:
        """Return the temporary files of targets."""
        wanted: dict[Path, set[str]] = {}
        for target in targets:
            wanted.setdefault(target.parent, set()).add(target.stem)
        return [path for folder, stems in wanted.items() for path in _leftovers(folder, stems)]


def _leftovers(folder: Path, stems: set[str]) -> list[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (a folder can hold very many names)
    except OSError:  # missing or unreadable: it holds nothing of ours
        return []
    return [folder / name for name in names if _is_temporary_of(name, stems)]


def _is_temporary_of(name: str, stems: set[str]) -> bool:
    """Return whether a name is `.<stem>.<random>.esrt-tmp<suffix>` of one of these stems, perhaps shortened."""
    before, mark, _ = name.rpartition(TEMPORARY_MARK)
    if not mark or not before.startswith("."):
        return False
    stem = before[1:].rpartition(".")[0]
    return stem in stems or (len(os.fsencode(name)) > _LONG and any(each.startswith(stem) for each in stems))


def _remove(path: Path) -> int:
    path.unlink(missing_ok=True)
    return 1
