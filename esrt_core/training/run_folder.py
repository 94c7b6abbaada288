"""The folder of a run and its result: run.json, log.csv, curves, and the paths of weights, state and samples."""

import csv
import io
import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from esrt_core.decoding import DecodeError, decode_json, decode_value
from esrt_core.errors import TrainingError
from esrt_core.files import atomic_write, display_text, free_bytes
from esrt_core.training.events import Trained, Validated
from esrt_core.training.options import TrainOptions
from esrt_core.training.state import TrainingState

COLUMNS = ("step", "seconds", "fraction", "loss", "lr", "patch", "batch", "pixels_per_second", "psnr")
MAY_CHANGE = frozenset(("steps", "seconds", "device", "threads", "save_seconds", "validations", "name", "out", "force"))
MAX_STEP = 2**53  # larger numbers are damage
MIN_FREE_BYTES = 100 * 2**20  # what the files of a run need, with a margin

Rows = Sequence[dict[str, str]]


@dataclass(frozen=True)
class TrainResult:
    """Hold the result of a run; PSNR is on Y of the held-out pictures, dB, and `best_step` 0 if nothing beat the start.

    The fields are those of `results` in run.json.
    """

    best: Path
    steps: int
    seconds: float
    held_out: int
    bicubic_psnr: float
    start_psnr: float
    best_psnr: float
    last_psnr: float
    best_step: int
    name: str | None = None

    @property
    def sentence(self) -> str:
        """One sentence: the gain over the start and bicubic, and the path of the best weights."""
        where = f"on {self.held_out} held-out picture{'s' * (self.held_out != 1)}"
        file = f"{self.best} (--model {self.name})" if self.name else str(self.best)
        if not self.best_step:
            not_beaten = f"nothing beat the start, {self.start_psnr:.2f} dB {where}"
            return f"{not_beaten}: the best weights are those of the start, {file}"
        gain = _compare(self.best_psnr, self.start_psnr, "the start")
        return (
            f"{gain} and {_compare(self.best_psnr, self.bicubic_psnr, 'bicubic')} "
            f"(PSNR {self.best_psnr:.2f} dB on Y) {where}: {file}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return JSON values for run.json, in which an infinite PSNR is null."""
        values = {key: None if value == math.inf else value for key, value in asdict(self).items()}
        return {**values, "best": str(self.best.resolve())}


@dataclass(frozen=True)
class _Results:
    """Hold `results` of run.json."""

    steps: int
    seconds: float
    held_out: int
    bicubic_psnr: float | None
    start_psnr: float | None
    best_psnr: float | None
    last_psnr: float | None
    best_step: int
    name: str | None = None

    def result(self, best: Path) -> TrainResult:
        """Return the result of the run whose best weights are at `best`."""
        return TrainResult(
            best=best,
            steps=self.steps,
            seconds=self.seconds,
            held_out=self.held_out,
            bicubic_psnr=_finite_or_not(self.bicubic_psnr),
            start_psnr=_finite_or_not(self.start_psnr),
            best_psnr=_finite_or_not(self.best_psnr),
            last_psnr=_finite_or_not(self.last_psnr),
            best_step=self.best_step,
            name=None if self.name is None else display_text(self.name),
        )


@dataclass(frozen=True)
class _Record:
    """Hold run.json, whose `results` are empty until the run is complete."""

    options: dict[str, Any]
    results: dict[str, Any]


def result_of(state: TrainingState, best: Path, held_out: int, name: str | None) -> TrainResult:
    """Return the result of a run that ended in this state."""
    return TrainResult(
        best=best,
        steps=state.step,
        seconds=state.seconds,
        held_out=held_out,
        bicubic_psnr=state.bicubic_psnr,
        start_psnr=state.start_psnr,
        best_psnr=state.best_psnr,
        last_psnr=state.last_psnr,
        best_step=state.best_step,
        name=name,
    )


class RunFolder:
    """Read and write the files of one run."""

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
        """Check that the folder is new or belongs to this run; return sentences about options that have changed.

        Raises: TrainingError if it belongs to a run with other options or holds other files, or if the disk is full.
        """
        if self.path.is_file():
            raise TrainingError(f"{self.path} is a file; choose another folder with --out")
        if free_bytes(self.path) < MIN_FREE_BYTES:
            raise TrainingError(
                f"the disk of {self.path} has less than 100 MB free; free some space or choose another --out"
            )
        if not self.record.exists():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise TrainingError(f"{self.path} is not a training run but has other files; choose another --out")
            return []
        return self._compare(options)

    def _compare(self, options: TrainOptions) -> list[str]:
        before, now = self.read_record().options, options.as_json()
        changed = [key for key in now if key in before and before[key] != now[key]]
        conflicts = [key for key in changed if key not in MAY_CHANGE]
        if conflicts:
            listed = ", ".join(f"{key} was {before[key]!r}, now {now[key]!r}" for key in conflicts)
            raise TrainingError(f"{self.path} belongs to a run with other options ({listed}); choose another --out")
        return [f"resuming with {key} {now[key]} (before: {before[key]})" for key in changed]

    def read_record(self) -> _Record:
        """Return the content of run.json.

        Raises: TrainingError if it is damaged.
        """
        try:
            record = decode_json(self.record.read_bytes(), _Record)
        except (OSError, DecodeError) as error:
            raise self._damaged(error) from error
        if "optimiser" in record.options:  # the spelling of 0.1.0
            record.options["optimizer"] = record.options.pop("optimiser")
        return record

    def read_result(self) -> TrainResult | None:
        """Return the result of a complete run, None if the run is not complete.

        Raises: TrainingError if run.json is damaged.
        """
        results = self.read_record().results if self.record.exists() else None
        try:
            return decode_value(results, _Results).result(self.best) if results else None
        except DecodeError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> TrainingError:
        return TrainingError(f"{self.record} is damaged ({error}); delete the folder or choose another --out")

    def write_record(self, options: TrainOptions, data: dict[str, Any], results: dict[str, Any]) -> None:
        """Write run.json."""
        content = {"options": options.as_json(), "versions": versions(), "data": data, "results": results}
        with atomic_write(self.record, overwrite=True) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", "utf-8")

    def open_log(self, step: int) -> "Log":
        """Open log.csv to continue after `step`, dropping rows of steps that came after the last save."""
        rows = [row for row in self.read_log() if int(row["step"]) <= step]
        return Log(self.log, rows)

    def read_log(self) -> list[dict[str, str]]:
        """Return the rows of log.csv, without a torn last line and rows that cannot be read."""
        try:
            lines = self.log.read_bytes().decode("utf-8", "replace").split("\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TrainingError(f"{self.log} cannot be read ({error.strerror}); choose another --out") from error
        fields = (line.rstrip("\r").split(",") for line in lines)
        rows = (dict(zip(COLUMNS, row, strict=True)) for row in fields if len(row) == len(COLUMNS))
        return [row for row in rows if _is_readable(row)]


class Log:
    """Append rows to log.csv; each is written immediately and as a whole.

    Raises: TrainingError if a row cannot be written, for example on a full disk.
    """

    def __init__(self, path: Path, rows: list[dict[str, str]]) -> None:
        with atomic_write(path, overwrite=True) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        self._path = path
        self._file = path.open("ab", buffering=0)  # nothing is left to write when it is closed

    def write(self, event: Trained | Validated) -> None:
        """Append a row."""
        values = {key: value for key, value in asdict(event).items() if key in COLUMNS}
        line = io.StringIO()
        csv.DictWriter(line, COLUMNS).writerow(
            {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in values.items()}
        )
        left = memoryview(line.getvalue().encode())
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise TrainingError(
                f"{self._path} cannot be written ({error.strerror}); free some space and rerun"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _is_readable(row: dict[str, str]) -> bool:
    """Return whether a row of log.csv has a step, and numbers in the other columns that are filled."""
    try:
        for value in filter(None, row.values()):
            float(value)
        return 0 <= int(row["step"]) < MAX_STEP
    except ValueError:
        return False


def draw_curves(rows: Rows, bicubic_psnr: float, start_psnr: float, target: Path) -> None:
    """Draw the rows of log.csv as a PNG: the loss above; below it PSNR, with bicubic and the start for comparison."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # of the extra `train`, see check_packages()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, sharex=True)
    above.plot(*_series(rows, "loss"), linewidth=0.8, color="tab:blue")
    above.set(ylabel="loss", yscale="log")
    below.plot(*_series(rows, "psnr"), marker="o", markersize=3, color="tab:green", label="ESRT (averaged weights)")
    below.axhline(start_psnr, color="tab:gray", linestyle="--", label=f"start, {start_psnr:.2f} dB")
    if start_psnr - bicubic_psnr < 10:
        below.axhline(bicubic_psnr, color="tab:red", linestyle=":", label=f"bicubic, {bicubic_psnr:.2f} dB")
    below.set(xlabel="step", ylabel="PSNR on Y, held-out pictures (dB)")
    below.legend(loc="best", fontsize="small")
    with atomic_write(target, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def versions() -> dict[str, str]:
    """Return the versions of Python, torch and NumPy."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": numpy.__version__}


def _finite_or_not(psnr: float | None) -> float:
    return math.inf if psnr is None else psnr


def _compare(psnr: float, other: float, name: str) -> str:
    return f"{abs(psnr - other):.2f} dB {'better' if psnr >= other else 'worse'} than {name}"


def _series(rows: Rows, column: str) -> tuple[list[int], list[float]]:
    filled = [row for row in rows if row.get(column)]
    return [int(row["step"]) for row in filled], [float(row[column]) for row in filled]
