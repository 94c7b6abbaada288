"""Ctrl-C and SIGTERM, taken note of, so that the loop can save and stop between two steps.

The training loop.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from torch import nn

from esrt_core.errors import StopError, TrainingError
from esrt_core.training.optimizers import build_optimizers, place_rates, set_rates
from esrt_core.training.options import TrainOptions
from esrt_core.training.precision import in_half_precision
from esrt_core.training.recorder import Recorder
from esrt_core.training.sampler import Batch, Sampler
from esrt_core.training.schedule import Point, Schedule, Stage
from esrt_core.training.start import UPSAMPLERS
from esrt_core.training.state import TrainingState, restore_counters
from esrt_core.training.step import Loss, Stepper
from esrt_core.training.validation import Validator


class StopRequest:
    """Remember the first signal; `number` is 0 while there was none."""

    def __init__(self) -> None:
        self.number = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        self.number = self.number or number


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM inside the block; one that is ignored from outside stays ignored."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    noted = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in noted:
            signal.signal(number, request.note)
        yield request
    finally:
        for number in noted:
            signal.signal(number, before[number])


UNUSED = ".l1"  # a scalar that the published network has and never uses
MOST_SKIPPED = 10  # in a row, if a lower scale of the loss does not help


@dataclass(frozen=True)
class PreparedBatch:
    """Hold the batch of a step."""

    step: int
    stage: Stage
    batch: Batch


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
        self.optimizer = optimizer
        self.lr = lr
        self.sampler = sampler
        self.validator = validator
        self.replica = validator.replica
        self.recorder = recorder
        self._stepper: Stepper | None = None
        self._next: PreparedBatch | None = None
        self._due: tuple[object, ...] = ()
        self._parts = 1
        self._set_phase(state.body_rests)

    def restore(self, content: dict[str, Any]) -> None:
        """Go on from a saved state."""
        state = self.state
        restore_counters(state, content)
        self._set_phase(state.body_rests)
        for optimizer, saved in zip(state.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        place_rates(state.optimizers)
        state.validated = min(state.validated, self._validations_at(self.schedule.fraction(state.step, state.seconds)))

    def run(self, stop: StopRequest) -> None:
        """Train to the end. Raises StopError, the state saved, after a signal; TrainingError when nothing is finite."""
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
        self.recorder.save(self.state)
        [number] = self.replica.largest([float(stop.number)])
        if number:  # it came during the last validation or save
            self._stop(number)

    def _decide(self, seconds: float, stop: StopRequest) -> Point:
        """Return what is due, the same in every process; stop here when one of them was told to."""
        self.state.seconds, number = self.replica.largest([seconds, float(stop.number)])
        if number:
            self.recorder.flush()
            self.recorder.save(self.state)
            self._stop(number)
        return self.schedule.at(self.state.step, self.state.seconds, self.state.joined)

    def _stop(self, number: float) -> NoReturn:
        text = f"Stopped after {self.state.step} steps, everything is saved; the same command goes on."
        raise StopError(text, 128 + int(number))

    def _enter(self, point: Point) -> None:
        """Change phase, patch, batch and loss where the schedule does."""
        due = (point.stage, point.body_rests, point.mse)
        if due == self._due:
            return
        self._due = due
        if self.state.body_rests and not point.body_rests:
            self.state.joined = self.state.step
            self._set_phase(body_rests=False)
        loss = Loss(self.options.fft_weight, point.mse)
        device = self.replica.device
        network = self.replica.wrap(in_half_precision(self.state.network, device))
        self._stepper = Stepper(network, loss, device, self.state.scale, self._parts)

    def _validations_at(self, fraction: float) -> int:
        """Return how many validations are due until then. A run that became longer has fewer behind it."""
        return int(fraction * self.options.validations)

    def _set_phase(self, body_rests: bool) -> None:
        self.state.body_rests = body_rests
        choose_trained(self.state.network, body_rests)
        self.state.optimizers = build_optimizers(self.state.network, self.optimizer, self.lr, self.options.weight_decay)

    def _train(self, point: Point) -> None:
        """Do one step. While a GPU is at it, the next batch is drawn."""
        assert self._stepper is not None
        set_rates(self.state.optimizers, point.lr_factor)
        begun = self._stepper.begin(*self._drawn(point.stage))
        self._next = self._draw(self.state.step + 1, point.stage)
        result = self._stepper.finish(begun, self.state.optimizers)
        self.state.step += 1
        if result.finite:
            self.state.skipped = 0
            self.state.ema.update(self.state.network)
        else:
            self._skip()
        self._tell_about_parts()
        self.recorder.step(self.state, point, self.lr, result)

    def _drawn(self, stage: Stage) -> Batch:
        """Return the batch of this step, which the step before has drawn unless it was of another stage."""
        drawn = self._next
        if drawn is None or (drawn.step, drawn.stage) != (self.state.step, stage):
            drawn = self._draw(self.state.step, stage)
        return drawn.batch

    def _draw(self, step: int, stage: Stage) -> PreparedBatch:
        draw = self.sampler.batch if self.options.degrade == "none" else self.sampler.damaged_batch
        return PreparedBatch(step, stage, draw(step, stage.patch, stage.batch))

    def _skip(self) -> None:
        self.state.skipped += 1
        if self.state.skipped >= MOST_SKIPPED and self.state.scale.lowest:
            raise TrainingError(
                f"{self.state.skipped} steps in a row gave no finite loss or gradient, so the run stopped at step "
                f"{self.state.step}; its best weights are kept: start anew with a lower --lr."
            )

    def _tell_about_parts(self) -> None:
        assert self._stepper is not None
        if self._stepper.parts != self._parts:
            self._parts = self._stepper.parts
            self.recorder.notice(
                f"The GPU's memory is too small for the batch: it is computed in {self._parts} parts from now on."
            )

    def _validate(self, point: Point) -> None:
        self.state.validated = self._validations_at(point.fraction)
        self.recorder.flush()
        self.recorder.validated(self.state, self.validator.psnr(self.recorder.averaged(self.state)))


def choose_trained(network: nn.Module, body_rests: bool) -> None:
    """Let gradients be made for what is trained: everything, or the upsampler alone."""
    for name, value in network.named_parameters():
        resting = name.endswith(UNUSED) or (body_rests and not name.startswith(UPSAMPLERS))
        value.requires_grad_(not resting)
