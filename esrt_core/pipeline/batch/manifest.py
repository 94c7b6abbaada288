"""Resume state of a folder of results: what is done and what failed, in one of two forms.

Manifest: `.esrt-manifest.jsonl` in the folder, append-only, one JSON line per event.

Records: one small object per picture in `.esrt-records/` below the folder, for object stores, where nothing can be
appended to or renamed; a result's object is named by its target, a failure's by its source and job.

In both, "writing" is recorded before a result gets its name and "done" after it, so that a result of a run that ended
in between can be told from a file that somebody else put there.
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
FOLDER = ".esrt-records"
JOB = "job-"  # prefix of the objects that say what a job id stands for


@dataclass(frozen=True)
class Entry:
    """Record what happened to one picture.

    state          "writing", "done" or "failed".
    job            the id of the options and weights, as recorded by Manifest.begin().
    source         path relative to the manifest's folder; `size` (bytes) and `mtime_ns` are the file's.
    target         the result's path relative to the manifest's folder, `target_size` its bytes.
    limits         the read limits when the picture failed: others may accept it.
    model          the weights of the first pass; chosen by the pixels if the command named none.
    tile, device   after memory ran out: the smaller tile in px, and the kind of device.
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
    model: str = ""


class Manifest:
    """Read and append to the manifest of one folder; other runs may append at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.smaller_tile: dict[tuple[str, str], int] = {}  # (job, kind of device): the last tile used
        self._jobs: set[str] = set()
        self._of_source: dict[tuple[str, str], Entry] = {}
        self._done: dict[str, Entry] = {}
        self._writing: dict[str, Entry] = {}
        self._read_to = 0
        self.refresh()

    @property
    def targets(self) -> Mapping[str, str]:
        """The source of every result in this folder, by the result's path."""
        return {target: entry.source for target, entry in (*self._writing.items(), *self._done.items())}

    def refresh(self) -> None:
        """Read the lines that were appended since the last call.

        Raises: TargetError if the file cannot be read.
        """
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
            self._parse(line)

    def begin(self, job: str, options: Mapping[str, Any]) -> None:
        """Record what a job id stands for, once."""
        if job not in self._jobs:
            self._append({"kind": "job", "version": VERSION, "job": job, "options": dict(options)})

    def add(self, entry: Entry) -> None:
        """Append an event; it is on the disk when this returns.

        Raises: TargetError if the file cannot be written.
        """
        values = dataclasses.asdict(entry).items()
        self._append({"kind": "picture", **{name: value for name, value in values if value not in (None, "", 0)}})

    def outcome(self, source: str, job: str) -> Entry | None:
        """Return the last event of a picture in a job; a result counts only if it exists as it was written."""
        entry = self._of_source.get((source, job))
        if entry is None or entry.state == "failed":
            return entry
        return entry if self._holder(entry.target) == entry else None

    def owns(self, target: str, source: str) -> bool:
        """Return whether `target` is this source's own result as it was written, so that it may be replaced."""
        holder = self._holder(target)
        return holder is not None and holder.source == source

    def _holder(self, target: str) -> Entry | None:
        """Return the event that wrote the file at `target`, or None if that file is missing or a different one."""
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

    def _parse(self, line: bytes) -> None:
        """Read one line; ignore one that a power cut left incomplete."""
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
                f"{display_name(self.path)} cannot be written: {error.strerror}; free space or choose another folder"
            ) from error
        self.refresh()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Record:
    """Record what happened to one picture.

    state          "writing", "done" or "failed".
    job            the id of the options and weights.
    source         the picture's address or absolute path; `stamp` changes with its content.
    target         the result's key below the folder of the results, `target_size` its bytes.
    replaces       the bytes of our own earlier result that may still exist while the state is "writing".
    limits         the read limits when the picture failed: others may accept it.
    model          the weights of the first pass; chosen by the pixels if the command named none.
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
    model: str = ""

    @property
    def key(self) -> str:
        """The record's own key below the folder of the results."""
        what = ("failed", self.source, self.job) if self.state == "failed" else ("result", self.target)
        name = hashlib.sha256("\0".join(what).encode(errors="surrogateescape")).hexdigest()[:32]
        return f"{FOLDER}/{what[0]}-{name}.json"

    def content(self) -> bytes:
        """Return the record as stored: JSON, without empty fields."""
        values = dataclasses.asdict(self).items()
        return json.dumps({name: value for name, value in values if value not in (None, "")}).encode()


class Records:
    """Look up what earlier runs did in one folder; `sizes` has the bytes of every object there, by key."""

    def __init__(self, records: Iterable[Record], sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._results: dict[str, Record] = {}
        self._of_source: dict[tuple[str, str], Record] = {}
        for record in sorted(records, key=lambda record: record.state != "failed"):  # results override failures
            if record.state != "failed":
                self._results[record.target] = record
            if record.state == "failed" or self._is_done(record):
                self._of_source[record.source, record.job] = record

    @property
    def targets(self) -> Mapping[str, str]:
        """The source of every result in this folder, by the result's key."""
        return {target: record.source for target, record in self._results.items()}

    def outcome(self, source: str, job: str) -> Record | None:
        """Return the record of a picture in a job; a result counts only if it exists."""
        return self._of_source.get((source, job))

    def owned_size(self, target: str, source: str) -> int | None:
        """Return the bytes of `target` if it is this source's own result, which may be replaced; else None."""
        record, size = self._results.get(target), self._sizes.get(target)
        if record is None or record.source != source or size not in (record.target_size, record.replaces):
            return None
        return size

    def _is_done(self, record: Record) -> bool:
        return record.state == "done" and self._sizes.get(record.target) == record.target_size


def parse_record(content: bytes) -> Record | None:
    """Return a stored record, or None if the content is not one."""
    try:
        return Record(**json.loads(content))
    except (ValueError, TypeError):
        return None


def is_record(key: str) -> bool:
    """Return whether a key is that of a picture's record."""
    folder, _, name = key.rpartition("/")
    return folder == FOLDER and not name.startswith(JOB) and name.endswith(".json")


def recorded_targets(folder: Path) -> dict[str, str]:
    """Return the source of every result recorded in a local folder, by the result's key."""
    try:
        paths = sorted((folder / FOLDER).iterdir())
        records = [parse_record(path.read_bytes()) for path in paths if is_record(f"{FOLDER}/{path.name}")]
    except OSError:  # missing or unreadable: it holds nothing of ours
        return {}
    return {record.target: record.source for record in records if record is not None and record.target}
