"""The folder of a run: run.json, log.csv, weights, state, curves and samples."""

import csv
import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy
import torch

from esrt_core.errors import TrainingError
from esrt_core.files import atomic_write, free_bytes
from esrt_core.training.events import Trained, Validated
from esrt_core.training.options import TrainOptions
from esrt_core.training.result import TrainResult

COLUMNS = ("step", "seconds", "fraction", "loss", "lr", "patch", "batch", "pixels_per_second", "psnr")
MAY_CHANGE = frozenset(("steps", "seconds", "device", "threads", "save_seconds", "validations", "name", "out"))
ROOM = 100 * 2**20  # bytes that a run's files need, with a margin


class RunFolder:
    """Write and read the files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / "run.json"
        self.log = path / "log.csv"
        self.state = path / "state.pt"
        self.best = path / "best.safetensors"
        self.last = path / "last.safetensors"
        self.curves = path / "curves.png"
        self.samples = path / "samples"

    def prepare(self, options: TrainOptions) -> list[str]:
        """Make the folder, or recognise it as this run's; return sentences about options that have changed.

        Raises TrainingError when it belongs to a run with other options, or holds something else, or the disk is full.
        """
        if self.path.is_file():
            raise TrainingError(f"{self.path} is a file; name another folder with --out.")
        if free_bytes(self.path) < ROOM:
            raise TrainingError(f"The disk of {self.path} has less than 100 MB free; make room or use another --out.")
        if not self.record.exists():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise TrainingError(f"{self.path} holds other files and is no run; name another folder with --out.")
            return []
        return self._compare(options)

    def _compare(self, options: TrainOptions) -> list[str]:
        before, now = self.read_record()["options"], options.as_json()
        changed = [key for key in now if key in before and before[key] != now[key]]
        strange = [key for key in changed if key not in MAY_CHANGE]
        if strange:
            listed = ", ".join(f"{key} was {before[key]!r}, now {now[key]!r}" for key in strange)
            raise TrainingError(f"{self.path} belongs to a run with other options ({listed}); use another --out.")
        return [f"The run goes on with {key} {now[key]} (before: {before[key]})." for key in changed]

    def read_record(self) -> dict[str, Any]:
        """Return what run.json says; raises TrainingError when it is damaged."""
        try:
            content: dict[str, Any] = json.loads(self.record.read_text("utf-8"))
            content["options"].keys(), content["results"].keys()
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise TrainingError(f"{self.record} is damaged; delete the folder or choose another --out.") from error
        return content

    def read_result(self) -> TrainResult | None:
        """Return the result of a run that is complete."""
        results = self.read_record()["results"] if self.record.exists() else None
        return TrainResult(**{**results, "best": self.best}) if results else None

    def write_record(self, options: TrainOptions, data: dict[str, Any], results: dict[str, Any]) -> None:
        """Write run.json."""
        content = {"options": options.as_json(), "versions": versions(), "data": data, "results": results}
        with atomic_write(self.record, overwrite=True) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", "utf-8")

    def open_log(self, step: int) -> "Log":
        """Go on with log.csv after `step`; rows of steps that were done after the last save are dropped."""
        rows = [row for row in self.read_log() if int(row["step"]) <= step]
        return Log(self.log, rows)

    def read_log(self) -> list[dict[str, str]]:
        """Return the rows of log.csv."""
        if not self.log.exists():
            return []
        with self.log.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if row.get("step")]


class Log:
    """Append rows to log.csv; each is on disk at once."""

    def __init__(self, path: Path, rows: list[dict[str, str]]) -> None:
        with atomic_write(path, overwrite=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        self._file = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, COLUMNS)

    def write(self, event: Trained | Validated) -> None:
        """Append a row."""
        values = {key: value for key, value in asdict(event).items() if key in COLUMNS}
        self._writer.writerow(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in values.items()}
        )
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": numpy.__version__}
