"""The folders of results that a command writes to, each with its manifest and its lock."""

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePath

from esrt_core.errors import TargetError
from esrt_core.files import TEMPORARY_MARK, display_name, make_folder
from esrt_core.manifest import LOCK_NAME, Entry, Manifest
from esrt_core.pipeline.folder_job import FolderJob
from esrt_core.run_lock import RunLock

_LONG = 200  # bytes of a temporary name from which on its stem may have been cut


class Place:
    """Hold one folder of results: read at once, made and locked by open()."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = Manifest(root)
        self._lock: RunLock | None = None
        self._disk: int | None = None
        self._one_at_a_time = threading.Lock()

    def open(self, job: FolderJob) -> None:
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

    def is_there(self) -> bool:
        """Tell whether the folder that was opened still lies there, on the same disk."""
        try:
            return self.root.stat().st_dev == self._disk
        except OSError:
            return False

    def check_there(self) -> None:
        """Raise TargetError where the folder is gone: making it anew would fill the disk below a drive's place."""
        if not self.is_there():
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

    def outcome(self, source: Path, job: FolderJob) -> Entry | None:
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
