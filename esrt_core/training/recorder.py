"""Record a run: log, state, weights, curves and samples, written by the main process, and events to the observer."""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from esrt_core.files import atomic_write, make_folder
from esrt_core.media.contact_sheet import Row, draw_sheet
from esrt_core.model.esrt import ESRT
from esrt_core.training.bank import Data, Pixels
from esrt_core.training.distributed import Replica
from esrt_core.training.events import Notice, Started, Trained, TrainObserver, Validated
from esrt_core.training.options import TrainOptions
from esrt_core.training.run_folder import Log, RunFolder, draw_curves
from esrt_core.training.schedule import Point
from esrt_core.training.state import TrainingState
from esrt_core.training.step import StepResult
from esrt_core.training.validation import Crop, enlarge
from esrt_core.weights.checkpoint import save_checkpoint
from esrt_core.weights.header import CheckpointMetadata

LOG_STEPS = 10
LOG_SECONDS = 5.0
SAMPLE_COUNT = 4
SAMPLE_SIDE = 48  # LR px


@dataclass
class Window:
    """Accumulate the steps since the last row of the log."""

    began: float
    steps: int = 0
    loss: float = 0.0
    pixels: int = 0

    def add(self, loss: float, point: Point) -> None:
        """Add a step."""
        self.steps += 1
        self.loss += loss
        self.pixels += point.stage.batch * point.stage.patch**2

    def summary(self, state: TrainingState, point: Point, lr: float) -> Trained:
        """Return the row of the log."""
        return Trained(
            step=state.step,
            seconds=state.seconds,
            fraction=point.fraction,
            loss=self.loss / self.steps,
            lr=lr * point.lr_factor,
            patch=point.stage.patch,
            batch=point.stage.batch,
            pixels_per_second=self.pixels / max(time.perf_counter() - self.began, 1e-9),
        )


class Recorder:
    """Write the files of a run and report events to the observer."""

    def __init__(
        self, folder: RunFolder, metadata: CheckpointMetadata, replica: Replica, observer: TrainObserver
    ) -> None:
        self.folder = folder
        self.metadata = metadata
        self.replica = replica
        self.observer = observer
        self._log: Log | None = None
        self._window = Window(time.perf_counter())
        self._summary: Trained | None = None
        self._averaged: ESRT | None = None

    def create(self, options: TrainOptions, data: Data, state: TrainingState) -> None:
        """Make the folder; the starting weights are the best until others beat them."""
        if self.replica.is_main_process:
            make_folder(self.folder.path)
            self.folder.write_record(options, data.summary(), {})
            self._write_best(state)

    def begin(self, state: TrainingState, data: Data) -> None:
        """Open the log and report the start of the run."""
        if self.replica.is_main_process:
            self._log = self.folder.open_log(state.step)
            self.observer(
                Started(
                    folder=self.folder.path,
                    device=str(self.replica.device),
                    pictures=len(data.training),
                    held_out=len(data.held_out),
                    bicubic_psnr=state.bicubic_psnr,
                    start_psnr=state.start_psnr,
                    step=state.step,
                    seconds=state.seconds,
                )
            )
        self._window = Window(time.perf_counter())

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()

    def notice(self, text: str) -> None:
        """Report a sentence for the user."""
        if self.replica.is_main_process:
            self.observer(Notice(text))

    def step(self, state: TrainingState, point: Point, lr: float, result: StepResult) -> None:
        """Record a step; write a row of the log every LOG_STEPS steps or LOG_SECONDS."""
        window = self._window
        window.add(result.loss, point)
        self._summary = window.summary(state, point, lr)
        if window.steps >= LOG_STEPS or time.perf_counter() - window.began >= LOG_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Log the steps since the last row."""
        if self._summary is not None:
            self._report(self._summary)
        self._summary = None
        self._window = Window(time.perf_counter())

    def averaged(self, state: TrainingState) -> ESRT:
        """Return a separate network with the averaged weights."""
        if self._averaged is None:
            self._averaged = copy.deepcopy(state.network).eval().requires_grad_(False)
        state.ema.copy_to(self._averaged)
        return self._averaged

    def validated(self, state: TrainingState, psnr: float) -> None:
        """Record a validation; keep the weights if they are better than all before, including the start."""
        best = psnr > state.best_psnr
        state.last_psnr = psnr
        if best:
            state.best_psnr, state.best_step = psnr, state.step
            self._write_best(state)
        self._report(Validated(state.step, state.seconds, psnr, best))
        self._window = Window(time.perf_counter())

    def save(self, state: TrainingState) -> None:
        """Write last.safetensors (the averaged weights), the state needed to resume, and the curves so far."""
        if self.replica.is_main_process:
            save_checkpoint(self.averaged(state), self.folder.last, self._described(state, state.last_psnr))
            state.save(self.folder.state)
            draw_curves(self.folder.read_log(), state.bicubic_psnr, state.start_psnr, self.folder.curves)

    def _write_best(self, state: TrainingState) -> None:
        if self.replica.is_main_process:
            save_checkpoint(self.averaged(state), self.folder.best, self._described(state, state.best_psnr))

    def _described(self, state: TrainingState, psnr: float) -> CheckpointMetadata:
        training = {**self.metadata.training, "steps": state.step, "hours": round(state.seconds / 3600, 3)}
        measured = {"held-out": round(psnr, 3)} if math.isfinite(psnr) else {}  # infinite on pictures of one color
        return replace(self.metadata, training=training, psnr=measured)

    def _report(self, event: Trained | Validated) -> None:
        if self._log is not None:
            self._log.write(event)
            self.observer(event)


def draw_samples(crops: Sequence[Crop], before: ESRT, after: ESRT, folder: Path) -> None:
    """Write LR, before, after and truth of the first crops side by side, one labeled PNG each."""
    make_folder(folder)
    networks = [copy.deepcopy(network).to("cpu").eval() for network in (before, after)]
    for number, crop in enumerate(crops[:SAMPLE_COUNT], start=1):
        lr, hr = _part(crop)
        scale = hr.shape[0] // lr.shape[0]
        enlarged = [enlarge(network, lr, torch.device("cpu")) for network in networks]
        shown = lr.repeat(scale, axis=0).repeat(scale, axis=1)
        row = Row(crop.name, (shown, *enlarged, hr))
        sheet = draw_sheet(f"x{scale}", ("LR", "before", "after", "truth"), [row])
        with atomic_write(folder / f"{number}.png", overwrite=True) as temporary:
            Image.fromarray(sheet.planes[0]).save(temporary, format="PNG")


def _part(crop: Crop) -> tuple[Pixels, Pixels]:
    scale = crop.hr.shape[0] // crop.lr.shape[0]
    side = min(SAMPLE_SIDE, *crop.lr.shape[:2])
    return crop.lr[:side, :side].copy(), crop.hr[: side * scale, : side * scale].copy()
