"""What earlier runs did in a folder of results, kept in one of two forms with the same rows.

Manifest: `.esrt-manifest.jsonl` in the folder, append-only, one JSON line per event.

Records: one small object per picture in `.esrt-records/` below the folder, for object stores, where nothing can be
appended to or renamed; a result's object is named by its target, a failure's by its source and job.

In both, "writing" is recorded before a result gets its name and "done" after it, so that a result of a run that ended
in between can be told from a file that somebody else put there. Rows are not believed further than the folder goes: one
that is not what it should be, or whose target lies elsewhere, is ignored.
"""

import dataclasses
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from esrt_core.decoding import DecodeError, decode_json, decode_rows
from esrt_core.engine.options import MAX_TILE, MIN_TILE
from esrt_core.errors import TargetError
from esrt_core.files import display_name
from esrt_core.pipeline.batch.storage import Item, is_address, join, store_of

NAME = ".esrt-manifest.jsonl"
LOCK_NAME = ".esrt-manifest.lock"
VERSION = 1
FOLDER = ".esrt-records"
JOB = "job-"  # prefix of the objects that say what a job id stands for
_ABSOLUTE = r"/.*|[A-Za-z]:.*|.*\\.*" if os.name == "nt" else r"/.*"
_OUTSIDE = re.compile(rf"(.*/)?\.\.(/.*)?|{_ABSOLUTE}", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """Record what happened to one picture.

    state           "writing", "done" or "failed".
    job             the id of the options and weights.
    source          the picture's name as the log's name_of() gives it; `stamp` changes with its content.
    target          the result's key below the folder of the results, `target_size` its bytes.
    replaces        the bytes of our own earlier result that may still exist while the state is "writing" (records).
    tile, device    after memory ran out: the smaller tile in px, and the kind of device.
    limits          the read limits when the picture failed: others may accept it.
    model           the weights of the first pass, perhaps chosen by the pixels.
    kind            "picture", or "job" for the line that says what a job id stands for.
    size, mtime_ns  what version 0.1.0 recorded in place of the stamp.
    """

    state: str = ""
    job: str = ""
    source: str = ""
    stamp: str = ""
    target: str = ""
    target_size: int = 0
    replaces: int | None = None
    sha256: str = ""
    tile: int | None = None
    device: str | None = None
    error: str = ""
    limits: str = ""
    model: str = ""
    kind: str = "picture"
    size: int = 0
    mtime_ns: int = 0

    def is_of(self, stamp: str) -> bool:
        """Return whether the picture has not changed since."""
        return stamp == (self.stamp or f"{self.size} {self.mtime_ns}")

    def content(self) -> bytes:
        """Return the entry as stored: JSON on one line, without empty fields."""
        values = dataclasses.asdict(self)
        del values["size"], values["mtime_ns"]
        return json.dumps({name: value for name, value in values.items() if value not in (None, "")}).encode()

    @property
    def key(self) -> str:
        """The key of the entry's own object among records."""
        what = ("failed", self.source, self.job) if self.state == "failed" else ("result", self.target)
        name = hashlib.sha256("\0".join(what).encode(errors="surrogateescape")).hexdigest()[:32]
        return f"{FOLDER}/{what[0]}-{name}.json"

    @property
    def is_sound(self) -> bool:
        """Return whether the entry can be believed as far as it goes by itself."""
        if self.tile is not None and not MIN_TILE <= self.tile <= MAX_TILE:
            return False
        if self.state == "failed":
            return not self.target
        return self.state in ("writing", "done") and bool(self.target) and not _OUTSIDE.fullmatch(self.target)


class ResumeLog:
    """Look up what earlier runs did in one folder of results."""

    _verifies = True  # whether a result's bytes can be compared with what was about to be written

    def __init__(self) -> None:
        self.smaller_tile: dict[tuple[str, str], int] = {}  # (job, kind of device): the last tile used
        self._of_source: dict[tuple[str, str], Entry] = {}
        self._done: dict[str, Entry] = {}
        self._writing: dict[str, Entry] = {}

    def name_of(self, location: str) -> str:
        """Return the name under which a picture is recorded."""
        raise NotImplementedError

    def has_inside(self, source: str) -> bool:
        """Return whether a recorded picture lies in the folder of the results itself."""
        raise NotImplementedError

    @property
    def targets(self) -> Mapping[str, str]:
        """The source of every result in this folder, by the result's key."""
        return {target: entry.source for target, entry in (*self._writing.items(), *self._done.items())}

    def exists(self, target: str) -> bool:
        """Return whether something has the name of a result."""
        raise NotImplementedError

    def outcome(self, source: str, job: str) -> Entry | None:
        """Return the last event of a picture in a job; a result counts only if it exists as it was written."""
        entry = self._of_source.get((source, job))
        if entry is None or entry.state == "failed":
            return entry
        if entry.state == "writing" and not self._verifies:
            return None
        return entry if self._holder(entry.target) == entry else None

    def owned_size(self, target: str, source: str) -> int | None:
        """Return the bytes of `target` if it is this source's own result, which may be replaced; else None."""
        holder, writing = self._holder(target), self._writing.get(target)
        if holder is None and writing is not None and self._size_of(target) == 0:
            return 0 if writing.source == source else None  # a run died that had only reserved the name
        return None if holder is None or holder.source != source else holder.target_size

    def _holder(self, target: str) -> Entry | None:
        """Return the event that wrote the object at `target`, or None if it is missing or a different one."""
        size = self._size_of(target)
        writing, done = self._writing.get(target), self._done.get(target)
        if writing is not None and writing.target_size == size and self._is_content(target, writing.sha256):
            return writing
        return done if done is not None and done.target_size == size else None

    def _size_of(self, target: str) -> int | None:
        raise NotImplementedError

    def _is_content(self, target: str, sha256: str) -> bool:
        raise NotImplementedError

    def _remember(self, entry: Entry) -> None:
        self._of_source[entry.source, entry.job] = entry
        if entry.state == "writing":
            self._writing[entry.target] = entry
            if entry.replaces is not None:
                self._done[entry.target] = dataclasses.replace(entry, target_size=entry.replaces)
        elif entry.state == "done":
            self._done[entry.target] = entry
            self._writing.pop(entry.target, None)
        if entry.tile is not None and entry.device is not None:
            self.smaller_tile[entry.job, entry.device] = entry.tile


class Manifest(ResumeLog):
    """Read and append to the manifest of one folder; other runs may append at the same time."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.path = folder / NAME
        self._jobs: set[str] = set()
        self._read_to = 0
        self._real = ""
        self.refresh()

    def name_of(self, location: str) -> str:
        """Return a path relative to the folder, so that both can move together."""
        try:
            return PurePath(os.path.relpath(location, self.folder)).as_posix()
        except ValueError:  # another drive
            return Path(location).absolute().as_posix()

    def has_inside(self, source: str) -> bool:
        """Return whether a recorded picture lies in the folder of the results itself."""
        return not _OUTSIDE.fullmatch(source)

    def exists(self, target: str) -> bool:
        """Return whether something has the name of a result."""
        return os.path.lexists(self.folder / target)

    def refresh(self) -> None:
        """Read the lines that were appended since the last call; anything but a regular file is ignored.

        Raises: TargetError if the file cannot be read.
        """
        try:
            if not stat.S_ISREG(self.path.lstat().st_mode):
                return
            with self.path.open("rb") as file:
                file.seek(self._read_to)
                lines = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise TargetError(f"{display_name(self.path)} cannot be read: {error.strerror}") from error
        whole = lines.rfind(b"\n") + 1
        self._read_to += whole
        for entry in decode_rows(lines[:whole].splitlines(), Entry):
            if entry.kind == "job":
                self._jobs.add(entry.job)
            elif entry.kind == "picture" and entry.is_sound:
                self._remember(entry)

    def begin(self, job: str, options: Mapping[str, Any]) -> None:
        """Record what a job id stands for, once."""
        if job not in self._jobs:
            self._append(json.dumps({"kind": "job", "version": VERSION, "job": job, "options": dict(options)}).encode())

    def add(self, entry: Entry) -> None:
        """Append an event; it is on the disk when this returns.

        Raises: TargetError if the file cannot be written.
        """
        self._append(entry.content())

    def _size_of(self, target: str) -> int | None:
        """Return the bytes of a file; None for one that links lead to from outside the folder."""
        path = self.folder / target
        try:
            status = path.stat()
        except OSError:
            return None
        self._real = self._real or os.path.realpath(self.folder)
        is_inside = Path(os.path.realpath(path)).is_relative_to(self._real)
        return status.st_size if is_inside and stat.S_ISREG(status.st_mode) else None

    def _is_content(self, target: str, sha256: str) -> bool:
        try:
            return digest(self.folder / target) == sha256
        except OSError:  # what cannot be read is not known to be ours
            return False

    def _append(self, line: bytes) -> None:
        line += b"\n"
        try:
            if os.path.lexists(self.path) and not stat.S_ISREG(self.path.lstat().st_mode):
                raise TargetError(f"{display_name(self.path)} is not a regular file; remove it")
            with self.path.open("a+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(end - 1, 0))
                torn = end > 0 and file.read(1) != b"\n"
                line = b"\n" + line if torn else line
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError as error:
            raise TargetError(
                f"{display_name(self.path)} cannot be written: {error.strerror}; free space or choose another folder"
            ) from error
        self.refresh()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Records(ResumeLog):
    """Look up the records of one folder; `sizes` has the bytes of every object there, by key."""

    _verifies = False  # that would take a download

    def __init__(self, folder: str, entries: Iterable[Entry], sizes: Mapping[str, int]) -> None:
        super().__init__()
        self._folder = folder
        self._sizes = sizes
        for entry in sorted(entries, key=lambda entry: entry.state != "failed"):  # results override failures
            self._remember(entry)

    def name_of(self, location: str) -> str:
        """Return the location itself: an address or an absolute path."""
        return location

    def has_inside(self, source: str) -> bool:
        """Return whether a recorded picture lies in the folder of the results itself."""
        return source.startswith(join(self._folder, ""))

    def exists(self, target: str) -> bool:
        """Return whether something has the name of a result."""
        return target in self._sizes

    def _size_of(self, target: str) -> int | None:
        return self._sizes.get(target)

    def _is_content(self, target: str, sha256: str) -> bool:
        return True


def read_records(folder: str, items: Mapping[str, Item]) -> Records:
    """Return what earlier runs recorded in a folder of results that holds `items`."""
    keys = [key for key in items if is_record(key)]
    contents = store_of(folder).read_all([join(folder, key) for key in keys])
    entries = [entry for key, each in zip(keys, contents, strict=True) if each and (entry := parse_record(key, each))]
    return Records(folder, entries, {key: item.size for key, item in items.items()})


def parse_record(key: str, content: bytes) -> Entry | None:
    """Return the record stored under a key, or None if it is not one that belongs there."""
    try:
        entry = decode_json(content, Entry)
    except DecodeError:
        return None
    return entry if entry.is_sound and entry.key == key else None


def is_record(key: str) -> bool:
    """Return whether a key is that of a picture's record."""
    folder, _, name = key.rpartition("/")
    return folder == FOLDER and not name.startswith(JOB) and name.endswith(".json")


def logs_of(folder: str) -> list[ResumeLog]:
    """Return what both forms say about a folder."""
    items = store_of(folder).directly(join(folder, FOLDER))
    records = read_records(folder, {f"{FOLDER}/{name}": item for name, item in items.items()})
    return [records] if is_address(folder) else [Manifest(Path(folder)), records]
