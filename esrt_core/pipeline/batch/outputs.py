"""What a result depends on besides its picture, as the manifest keys it: the options as asked and the weights.

RunLock: which runs are alive in a folder, and which of them has which file in hand.

Locks belong to the process: the system lets go of them when it ends, however it ends.

The folders of results that a command writes to, each with its manifest and its lock.
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
from pathlib import Path, PurePath
from typing import IO, Any

from esrt_core.errors import TargetError
from esrt_core.files import TEMPORARY_MARK, display_name, make_folder
from esrt_core.media.image.picture import ReadLimits
from esrt_core.pipeline.batch.manifest import LOCK_NAME, Entry, Manifest
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.sizes import SizeRequest, cheapest_chain, decimal_text, own_factor
from esrt_core.selection import ModelChain, UpscalerPool
from esrt_core.weights.store import WeightsFile


@dataclass(frozen=True)
class JobKey:
    """Hold the options that decide a result's bytes, and their id."""

    id: str
    options: Mapping[str, Any]


def job_key(options: FolderOptions, pool: UpscalerPool) -> JobKey:
    """Return the key of a command: neither the device nor what only selects pictures is a part of it."""
    asked = options.upscale
    size = {name: decimal_text(value) for name, value in asdict(asked.size).items() if value is not None}
    described = {
        "size": size or {"factor": decimal_text(own_factor(pool.scales))},
        "format": asked.format,
        "weights": {name: file.sha256 for name, file in weights_needed(asked.size, pool).items()},
        "precision": asked.engine.precision,
        "tile": asked.engine.tile,
        "tta": asked.engine.tta,
        "encode": asdict(asked.encode),
        "compare": asked.compare,
        "name": options.name,
    }
    text = json.dumps(described, sort_keys=True)
    return JobKey(hashlib.sha256(text.encode()).hexdigest()[:16], described)


def weights_needed(size: SizeRequest, pool: UpscalerPool) -> dict[str, WeightsFile]:
    """Return the weights that may be used, by kind and scale; raise OptionError for a factor out of their reach."""
    files = {}
    for kind, chain in zip(("plain", "damaged"), pool.selector.all(), strict=False):
        for place, scale in _passes_needed(size, chain):
            files[f"{kind} {'later' if place else 'first'} x{scale}"] = pool.for_chain(chain).weights(scale, place)
    return files


def _passes_needed(size: SizeRequest, chain: ModelChain) -> Iterator[tuple[int, int]]:
    """Yield (place, scale) of the passes that a picture may take."""
    if size.asks_side:
        yield from chain.passes()
    else:
        factor = size.factor or Fraction(own_factor(chain.scales))
        yield from enumerate(cheapest_chain(factor, chain.scales, chain.later_scales))


def limits_text(limits: ReadLimits) -> str:
    """Return what is accepted, as a failure notes it."""
    return f"{limits.max_pixels}{' truncated' if limits.allow_truncated else ''}"


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


_LONG = 200  # bytes of a temporary name from which on its stem may have been cut


class OutputFolder:
    """Hold one folder of results: read at once, made and locked by open()."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = Manifest(root)
        self._lock: RunLock | None = None
        self._disk: int | None = None
        self._one_at_a_time = threading.Lock()

    def open(self, job: JobKey) -> None:
        """Make the folder, join the runs that work in it, and note the job. Raise TargetError where that fails."""
        make_folder(self.root)
        self._disk = self.root.stat().st_dev
        self._lock = RunLock(self.root / LOCK_NAME)
        self.manifest.begin(job.id, job.options)

    def close(self) -> None:
        """Leave the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_reachable(self) -> bool:
        """Tell whether the folder that was opened still lies there, on the same disk."""
        try:
            return self.root.stat().st_dev == self._disk
        except OSError:
            return False

    def check_reachable(self) -> None:
        """Raise TargetError where the folder is gone: making it anew would fill the disk below a drive's place."""
        if not self.is_reachable():
            raise TargetError(f"{display_name(self.root)} is gone: its drive went away or it was moved; bring it back")

    def claim(self, target: Path) -> bool:
        """Take a target for this run, and look again at what is done; say no where another run has it in hand."""
        try:
            if self._lock is None or not self._lock.claim(self.name_of(target)):
                return False
        except OSError as error:
            raise TargetError(f"{display_name(self.root)} cannot be locked: {error.strerror}") from error
        with self._one_at_a_time:
            self.manifest.refresh()
        return True

    def release(self, target: Path) -> None:
        """Give a target back."""
        if self._lock is not None:
            with suppress(OSError):  # of a drive that is gone, and the lock with it
                self._lock.release(self.name_of(target))

    def name_of(self, path: Path) -> str:
        """Return a path as the manifest writes it: from the folder, so that both can move together."""
        try:
            return PurePath(os.path.relpath(path, self.root)).as_posix()
        except ValueError:  # another drive
            return path.absolute().as_posix()

    def note(self, entry: Entry) -> None:
        """Write an event into the manifest."""
        with self._one_at_a_time:
            self.manifest.add(entry)

    def outcome(self, source: Path, job: JobKey) -> Entry | None:
        """Return the last event of a picture, as Manifest.outcome() does."""
        with self._one_at_a_time:
            return self.manifest.outcome(self.name_of(source), job.id)

    def remove_leftovers(self, targets: Iterable[Path]) -> int:
        """Remove the temporary files of dead runs beside targets, and count them; leave all while others are alive."""
        if self._lock is None or not self._lock.alone:
            return 0
        return sum(_remove(path) for path in self.leftovers(targets))

    def leftovers(self, targets: Iterable[Path]) -> list[Path]:
        """Return the temporary files that were to become targets."""
        wanted: dict[Path, set[str]] = {}
        for target in targets:
            wanted.setdefault(target.parent, set()).add(target.stem)
        return [path for folder, stems in wanted.items() for path in _leftovers(folder, stems)]


def _leftovers(folder: Path, stems: set[str]) -> list[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (a folder can hold very many names)
    except OSError:  # not made yet, or not ours to read: then nothing of ours is in it
        return []
    return [folder / name for name in names if _is_temporary_of(name, stems)]


def _is_temporary_of(name: str, stems: set[str]) -> bool:
    """Tell whether a file was to become one of these: `.<stem>.<random>.esrt-tmp<suffix>`, a long stem cut short."""
    before, mark, _ = name.rpartition(TEMPORARY_MARK)
    if not mark or not before.startswith("."):
        return False
    stem = before[1:].rpartition(".")[0]
    return stem in stems or (len(os.fsencode(name)) > _LONG and any(each.startswith(stem) for each in stems))


def _remove(path: Path) -> int:
    path.unlink(missing_ok=True)
    return 1
