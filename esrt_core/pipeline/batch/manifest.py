"""Manifest: what a folder of results holds and what failed, one JSON line an event, only ever appended to.

It lies in the folder of the results as `.esrt-manifest.jsonl`. A line "writing" goes before a result gets its name and
a line "done" after it, so that a run that ends in between is told from a file that somebody else put there.

Records: what became of every picture, a small object each, where nothing can be appended to or renamed.

They lie in `.esrt-records/` below the folder of the results: one object for a result, by its target, and one for a
failure, by its source and job. A result's record says "writing" before the result is put and "done" after it, so that
a run that ends in between is told from an object that somebody else put there.
"""

import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esrt_core.errors import TargetError
from esrt_core.files import display_name

NAME = ".esrt-manifest.jsonl"
LOCK_NAME = ".esrt-manifest.lock"
VERSION = 1


@dataclass(frozen=True)
class Entry:
    """Say what happened to one picture.

    state          "writing", "done" or "failed".
    job            the id of the options and weights, as Manifest.begin() noted them.
    source         its path from the manifest's folder; `size` in bytes and `mtime_ns` are the file's.
    target         the result's path from the manifest's folder, `target_size` its bytes.
    limits         what was accepted when the picture failed: more may be accepted later.
    tile, device   where memory ran out: the smaller tile in px, and the kind of device.
    """

    state: str
    job: str
    source: str
    size: int
    mtime_ns: int
    target: str = ""
    target_size: int = 0
    sha256: str = ""
    tile: int | None = None
    device: str | None = None
    error: str = ""
    limits: str = ""


class Manifest:
    """Read and append to the manifest of one folder; other runs may append meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.smaller_tile: dict[tuple[str, str], int] = {}  # (job, kind of device): the tile used last
        self._jobs: set[str] = set()
        self._of_source: dict[tuple[str, str], Entry] = {}
        self._done: dict[str, Entry] = {}
        self._writing: dict[str, Entry] = {}
        self._read_to = 0
        self.refresh()

    @property
    def targets(self) -> Mapping[str, str]:
        """The source of every result that was written here, by the result's path."""
        return {target: entry.source for target, entry in (*self._writing.items(), *self._done.items())}

    def refresh(self) -> None:
        """Take in the lines that were added since the last look. Raise TargetError where they cannot be read."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_to)
                lines = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise TargetError(f"{display_name(self.path)} cannot be read: {error.strerror}") from error
        whole = lines.rfind(b"\n") + 1
        self._read_to += whole
        for line in lines[:whole].splitlines():
            self._take(line)

    def begin(self, job: str, options: Mapping[str, Any]) -> None:
        """Note what a job id stands for, once."""
        if job not in self._jobs:
            self._append({"kind": "job", "version": VERSION, "job": job, "options": dict(options)})

    def add(self, entry: Entry) -> None:
        """Note an event, for good: the line is on the disk when this returns."""
        values = dataclasses.asdict(entry).items()
        self._append({"kind": "picture", **{name: value for name, value in values if value not in (None, "", 0)}})

    def outcome(self, source: str, job: str) -> Entry | None:
        """Return the last event of a picture in a job: "done" only where the result is there as it was written."""
        entry = self._of_source.get((source, job))
        if entry is None or entry.state == "failed":
            return entry
        return entry if self._holder(entry.target) == entry else None

    def owns(self, target: str, source: str) -> bool:
        """Tell whether a picture's result lies there as it was written, so that it may be replaced by its next one."""
        holder = self._holder(target)
        return holder is not None and holder.source == source

    def _holder(self, target: str) -> Entry | None:
        """Return the event that made the file lying at `target`, or None where there is none or another one."""
        path = self.folder / target
        try:
            size = path.stat().st_size
        except OSError:
            return None
        writing = self._writing.get(target)
        if writing is not None and writing.target_size == size and digest(path) == writing.sha256:
            return writing
        done = self._done.get(target)
        return done if done is not None and done.target_size == size else None

    def _take(self, line: bytes) -> None:
        """Take in one line; one that a power cut left half written says nothing."""
        try:
            record = json.loads(line)
            kind = record.pop("kind")
            if kind == "job":
                self._jobs.add(record["job"])
            elif kind == "picture":
                self._remember(Entry(**{"size": 0, "mtime_ns": 0, **record}))
        except (ValueError, TypeError, KeyError, AttributeError):
            return

    def _remember(self, entry: Entry) -> None:
        self._of_source[entry.source, entry.job] = entry
        if entry.state == "writing":
            self._writing[entry.target] = entry
        elif entry.state == "done":
            self._done[entry.target] = entry
            self._writing.pop(entry.target, None)
        if entry.tile is not None and entry.device is not None:
            self.smaller_tile[entry.job, entry.device] = entry.tile

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        try:
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
                f"{display_name(self.path)} cannot be written: {error.strerror}; make room or choose another folder"
            ) from error
        self.refresh()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


FOLDER = ".esrt-records"
JOB = "job-"  # how the objects begin that say what a job's id stands for


@dataclass(frozen=True)
class Record:
    """Say what happened to one picture.

    state          "writing", "done" or "failed".
    job            the id of the options and weights.
    source         the picture's address, or its path from the root; `stamp` tells its content from a later one.
    target         the result's key below the folder of the results, `target_size` its bytes.
    replaces       the bytes of our own earlier result that may still lie there while the state is "writing".
    limits         what was accepted when the picture failed: more may be accepted later.
    """

    state: str
    job: str
    source: str
    stamp: str
    target: str = ""
    target_size: int = 0
    replaces: int | None = None
    sha256: str = ""
    error: str = ""
    limits: str = ""

    @property
    def key(self) -> str:
        """Where the record lies, below the folder of the results."""
        what = ("failed", self.source, self.job) if self.state == "failed" else ("result", self.target)
        name = hashlib.sha256("\0".join(what).encode(errors="surrogateescape")).hexdigest()[:32]
        return f"{FOLDER}/{what[0]}-{name}.json"

    def content(self) -> bytes:
        """Return the record as it is stored."""
        values = dataclasses.asdict(self).items()
        return json.dumps({name: value for name, value in values if value not in (None, "")}).encode()


class Records:
    """Know what earlier runs did in one folder. `sizes` are the bytes of all that lies there, by key."""

    def __init__(self, records: Iterable[Record], sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._results: dict[str, Record] = {}
        self._of_source: dict[tuple[str, str], Record] = {}
        for record in sorted(records, key=lambda record: record.state != "failed"):  # a result outweighs a failure
            if record.state != "failed":
                self._results[record.target] = record
            if record.state == "failed" or self._is_done(record):
                self._of_source[record.source, record.job] = record

    @property
    def targets(self) -> Mapping[str, str]:
        """The source of every result that was written here, by the result's key."""
        return {target: record.source for target, record in self._results.items()}

    def outcome(self, source: str, job: str) -> Record | None:
        """Return what became of a picture in a job: "done" only where its result is there."""
        return self._of_source.get((source, job))

    def owned_size(self, target: str, source: str) -> int | None:
        """Return the bytes of what lies at `target` where it is a picture's own result, so that it may be replaced."""
        record, size = self._results.get(target), self._sizes.get(target)
        if record is None or record.source != source or size not in (record.target_size, record.replaces):
            return None
        return size

    def _is_done(self, record: Record) -> bool:
        return record.state == "done" and self._sizes.get(record.target) == record.target_size


def parse_record(content: bytes) -> Record | None:
    """Return a stored record; None for what is none."""
    try:
        return Record(**json.loads(content))
    except (ValueError, TypeError):
        return None


def is_record(key: str) -> bool:
    """Tell whether a key is that of a picture's record."""
    folder, _, name = key.rpartition("/")
    return folder == FOLDER and not name.startswith(JOB) and name.endswith(".json")


def recorded_targets(folder: Path) -> dict[str, str]:
    """Return the source of every result that records in a folder of this machine tell of, by the result's key."""
    try:
        paths = sorted((folder / FOLDER).iterdir())
        records = [parse_record(path.read_bytes()) for path in paths if is_record(f"{FOLDER}/{path.name}")]
    except OSError:  # there are none, or they are not ours to read: then nothing of ours is in it
        return {}
    return {record.target: record.source for record in records if record is not None and record.target}
