"""What a run leaves behind while it goes on: log, saved state, weights and reports. Only the leading process writes."""

import copy
import time
from dataclasses import dataclass

from esrt_core.model.esrt import ESRT
from esrt_core.training.distributed import Replica
from esrt_core.training.events import Notice, Started, Trained, TrainObserver, Validated
from esrt_core.training.folder import Log, RunFolder
from esrt_core.training.schedule import Point
from esrt_core.training.state import TrainingState
from esrt_core.training.step import StepResult
from esrt_core.weights.checkpoint import save_checkpoint
from esrt_core.weights.metadata import CheckpointMetadata

LOG_STEPS = 10
LOG_SECONDS = 5.0


@dataclass
class Window:
    """Sum up the steps since the last row of the log."""

    began: float
    steps: int = 0
    loss: float = 0.0
    pixels: int = 0

    def add(self, loss: float, point: Point) -> None:
        """Count a step."""
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
    """Write the run's folder and report to the observer."""

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

    def begin(self, state: TrainingState) -> None:
        """Open the log."""
        if self.replica.leads:
            self._log = self.folder.open_log(state.step)
        self._window = Window(time.perf_counter())

    def observe_start(self, state: TrainingState, pictures: int, held_out: int) -> None:
        """Report what the run begins with."""
        if self.replica.leads:
            self.observer(
                Started(
                    folder=self.folder.path,
                    device=str(self.replica.device),
                    pictures=pictures,
                    held_out=held_out,
                    bicubic_psnr=state.bicubic_psnr,
                    start_psnr=state.start_psnr,
                    step=state.step,
                    seconds=state.seconds,
                )
            )

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()

    def notice(self, text: str) -> None:
        """Report a sentence."""
        if self.replica.leads:
            self.observer(Notice(text))

    def step(self, state: TrainingState, point: Point, lr: float, result: StepResult) -> None:
        """Count a step; every LOG_STEPS steps or LOG_SECONDS make a row of the log."""
        window = self._window
        window.add(result.loss, point)
        self._summary = window.summary(state, point, lr)
        if window.steps >= LOG_STEPS or time.perf_counter() - window.began >= LOG_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Report the steps that are not in the log yet."""
        if self._summary is not None:
            self._report(self._summary)
        self._summary = None
        self._window = Window(time.perf_counter())

    def averaged(self, state: TrainingState) -> ESRT:
        """Return a network of its own with the averaged weights."""
        if self._averaged is None:
            self._averaged = copy.deepcopy(state.network).eval().requires_grad_(False)
        state.ema.copy_to(self._averaged)
        return self._averaged

    def validated(self, state: TrainingState, psnr: float, network: ESRT) -> None:
        """Take note of a validation; better weights than all before, the start included, are kept as the best."""
        best = psnr > state.best_psnr
        state.last_psnr = psnr
        if best:
            state.best_psnr, state.best_step = psnr, state.step
            self.write_best(network)
        self._report(Validated(state.step, state.seconds, psnr, best))
        self._window = Window(time.perf_counter())

    def write_best(self, network: ESRT) -> None:
        """Write best.safetensors."""
        if self.replica.leads:
            save_checkpoint(network, self.folder.best, self.metadata)

    def save(self, state: TrainingState) -> None:
        """Write last.safetensors (the averaged weights) and everything needed to go on."""
        network = self.averaged(state)
        if self.replica.leads:
            save_checkpoint(network, self.folder.last, self.metadata)
            state.save(self.folder.state)

    def _report(self, event: Trained | Validated) -> None:
        if self._log is not None:
            self._log.write(event)
            self.observer(event)
