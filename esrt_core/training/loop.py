"""The training loop, which saves and stops between two steps after Ctrl-C or SIGTERM."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from torch import nn

from esrt_core.errors import StopError, TrainingError
from esrt_core.training.optimizers import build_optimizers, move_rates, set_rates
from esrt_core.training.options import TrainOptions
from esrt_core.training.precision import in_half_precision
from esrt_core.training.recorder import Recorder
from esrt_core.training.sampler import Batch, Sampler
from esrt_core.training.schedule import Point, Schedule, Stage
from esrt_core.training.state import SavedState, TrainingState, restore_counters, restore_optimizers
from esrt_core.training.step import Loss, Stepper
from esrt_core.training.validation import Validator

UNUSED = ".l1"  # a scalar that the published network defines but never uses
MEASURED_STEP = 2  # the first one also prepares kernels
MIN_USEFUL_STEPS = 300  # on from trained weights 150 steps lost 0.01 dB, 330 gained 0.02 (benchmarks/training.md)
MAX_SKIPPED = 10  # steps in a row, once the loss scale is minimal


@dataclass(frozen=True)
class PreparedBatch:
    """Hold a batch and the step and stage that it was drawn for."""

    step: int
    stage: Stage
    batch: Batch


class StopRequest:
    """Hold the number of the first signal received, 0 if none was."""

    def __init__(self) -> None:
        self.number = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Record a signal; this is a signal handler."""
        self.number = self.number or number


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Record SIGINT and SIGTERM inside the block; a signal that was ignored before stays ignored."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, request.note)
        yield request
    finally:
        for number in handled:
            signal.signal(number, before[number])


class Trainer:
    """Train the network of a state until its schedule ends."""

    def __init__(
        self,
        state: TrainingState,
        options: TrainOptions,
        schedule: Schedule,
        optimizer: str,
        lr: float,
        sampler: Sampler,
        validator: Validator,
        recorder: Recorder,
    ) -> None:
        self.state = state
        self.options = options
        self.schedule = schedule
        self.lr = lr
        self.sampler = sampler
        self.validator = validator
        self.replica = validator.replica
        self.recorder = recorder
        self._stepper: Stepper | None = None
        self._next: PreparedBatch | None = None
        self._due: tuple[object, ...] = ()
        self._parts = 1
        set_trainable(state.network)
        state.optimizers = build_optimizers(state.network, optimizer, lr, options.weight_decay)

    def restore(self, saved: SavedState) -> None:
        """Resume from a saved state.

        Raises: TrainingError if its optimizers are not those of this run.
        """
        state = self.state
        restore_counters(state, saved)
        restore_optimizers(state.optimizers, saved)
        move_rates(state.optimizers)
        state.validated = min(state.validated, self._validations_at(self.schedule.fraction(state.step, state.seconds)))

    def run(self, stop: StopRequest) -> None:
        """Train to the end.

        Raises: StopError after a signal, once the state is saved; TrainingError if no step is finite any more.
        """
        began = time.perf_counter() - self.state.seconds
        saved = time.perf_counter()
        while True:
            point = self._decide(time.perf_counter() - began, stop)
            if self._validations_at(point.fraction) > self.state.validated:
                self._validate(point)
            if point.fraction >= 1:
                break
            if time.perf_counter() - saved > self.options.save_seconds:
                self.recorder.save(self.state)
                saved = time.perf_counter()
            self._enter(point)
            self._train(point)
            if self.state.step == MEASURED_STEP:
                self._report_length(point, time.perf_counter() - began - self.state.seconds)
        self.recorder.save(self.state)
        [number] = self.replica.largest([float(stop.number)])
        if number:  # the signal arrived during the last validation or save
            self._stop(number)

    def _decide(self, seconds: float, stop: StopRequest) -> Point:
        """Return the schedule's point, the same in every process; stop if any of them received a signal."""
        self.state.seconds, number = self.replica.largest([seconds, float(stop.number)])
        if number:
            self.recorder.flush()
            self.recorder.save(self.state)
            self._stop(number)
        return self.schedule.at(self.state.step, self.state.seconds)

    def _report_length(self, point: Point, step_seconds: float) -> None:
        """Tell the user if the run, at the speed of a step in seconds, is too short to help."""
        speed = step_seconds / (point.stage.batch * point.stage.patch**2)
        steps = round(self.schedule.expected_steps(speed))
        if steps < MIN_USEFUL_STEPS:
            minutes = math.ceil(self.schedule.seconds_for(MIN_USEFUL_STEPS, speed) / 60)
            self.recorder.notice(
                f"this run is too short to help much: about {steps} steps; use at least --steps {MIN_USEFUL_STEPS}, "
                f"about --time {minutes}m at the measured speed"
            )

    def _stop(self, number: float) -> NoReturn:
        text = f"stopped after {self.state.step} steps, with everything saved; rerun the same command to resume"
        raise StopError(text, 128 + int(number))

    def _enter(self, point: Point) -> None:
        """Change patch, batch and loss if the schedule does."""
        due = (point.stage, point.mse)
        if due == self._due:
            return
        self._due = due
        loss = Loss(self.options.fft_weight, point.mse)
        device = self.replica.device
        network = self.replica.wrap(in_half_precision(self.state.network, device))
        self._stepper = Stepper(network, loss, device, self.state.scale, self._parts)

    def _validations_at(self, fraction: float) -> int:
        """Return the number of validations due by this share of the run."""
        return int(fraction * self.options.validations)

    def _train(self, point: Point) -> None:
        """Do one step; draw the next batch while a GPU computes."""
        assert self._stepper is not None
        set_rates(self.state.optimizers, point.lr_factor)
        begun = self._stepper.begin(*self._current_batch(point.stage))
        self._next = self._draw(self.state.step + 1, point.stage)
        result = self._stepper.finish(begun, self.state.optimizers)
        self.state.step += 1
        if result.finite:
            self.state.skipped = 0
            self.state.ema.update(self.state.network)
        else:
            self._skip()
        self._report_parts()
        self.recorder.step(self.state, point, self.lr, result)

    def _current_batch(self, stage: Stage) -> Batch:
        """Return the batch of this step, drawn by the previous step unless that belonged to another stage."""
        prepared = self._next
        if prepared is None or (prepared.step, prepared.stage) != (self.state.step, stage):
            prepared = self._draw(self.state.step, stage)
        return prepared.batch

    def _draw(self, step: int, stage: Stage) -> PreparedBatch:
        draw = self.sampler.batch if self.options.degrade == "none" else self.sampler.damaged_batch
        return PreparedBatch(step, stage, draw(step, stage.patch, stage.batch))

    def _skip(self) -> None:
        self.state.skipped += 1
        if self.state.skipped >= MAX_SKIPPED and self.state.scale.is_minimal:
            raise TrainingError(
                f"no finite loss or gradient for {self.state.skipped} steps in a row, so the run stopped at step "
                f"{self.state.step}; its best weights are kept, start a new run with a lower --lr"
            )

    def _report_parts(self) -> None:
        assert self._stepper is not None
        if self._stepper.parts != self._parts:
            self._parts = self._stepper.parts
            self.recorder.notice(
                f"the batch does not fit into the GPU's memory; computing it in {self._parts} parts from now on"
            )

    def _validate(self, point: Point) -> None:
        self.state.validated = self._validations_at(point.fraction)
        self.recorder.flush()
        self.recorder.validated(self.state, self.validator.psnr(self.recorder.averaged(self.state)))


def set_trainable(network: nn.Module) -> None:
    """Require gradients for all parameters that the network uses."""
    for name, value in network.named_parameters():
        value.requires_grad_(not name.endswith(UNUSED))
