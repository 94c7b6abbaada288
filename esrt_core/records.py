"""Records: what became of every picture, a small object each, where nothing can be appended to or renamed.

They lie in `.esrt-records/` below the folder of the results: one object for a result, by its target, and one for a
failure, by its source and job. A result's record says "writing" before the result is put and "done" after it, so that
a run that ends in between is told from an object that somebody else put there.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
