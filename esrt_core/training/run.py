"""A finished run's weights under a name, so that `--model NAME` finds them.

From pictures to weights: a run, from its first check to its result.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from esrt_core.engine.device import choose_device
from esrt_core.errors import OptionError
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.system.process import keep_freed_memory
from esrt_core.training.bank import Data, choose_data, decode
from esrt_core.training.distributed import Replica, join
from esrt_core.training.events import Notice, TrainObserver, ignore_event
from esrt_core.training.loop import Trainer, stop_on_signals
from esrt_core.training.options import TrainOptions
from esrt_core.training.precision import compile_blocks, loss_scale
from esrt_core.training.recorder import Recorder, draw_samples
from esrt_core.training.run_folder import RunFolder, TrainResult, result_of
from esrt_core.training.sampler import Sampler
from esrt_core.training.schedule import Schedule, Stage, plan_stages
from esrt_core.training.start import Start, load_start
from esrt_core.training.state import EMA, TrainingState, read_state
from esrt_core.training.validation import CPU_PIXELS, GPU_PIXELS, Validator, cut_crops, damaged
from esrt_core.weights.catalog import RESERVED_NAMES, check_name
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.header import CheckpointMetadata
from esrt_core.weights.importing import import_weights
from esrt_core.weights.library import imported_rows
from esrt_core.weights.settings import store_options


def check_name_free(name: str, scale: int) -> None:
    """Refuse a name that the weights could not get at the end. Raises WeightsError or OptionError."""
    check_name(name)
    if name in RESERVED_NAMES:
        raise OptionError(f"The name '{name}' is kept for bundled weights; choose another --name.")
    if any((row.name, row.scale) == (name, scale) for row in imported_rows(store_options())):
        raise OptionError(
            f"There are weights called '{name}' for x{scale} already; remove them or choose another --name."
        )


def register(best: Path, name: str, overwrite: bool) -> None:
    """Copy weights into the user's collection."""
    import_weights(best, name, overwrite, store_options())


@dataclass(frozen=True)
class Observers:
    """Hold who listens to a run."""

    event: TrainObserver = ignore_event
    progress: ProgressCallback = ignore_progress


def train(
    options: TrainOptions, observer: TrainObserver = ignore_event, progress: ProgressCallback = ignore_progress
) -> TrainResult:
    """Train ESRT as the options say, or go on with the run in its folder.

    Raises OptionError, TrainingError, WeightsError or DeviceError, before any work, where something cannot be;
    StopError after Ctrl-C or SIGTERM, with everything saved.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    own = join(device)
    return _train(options, own, Observers(observer, progress) if own.is_main_process else Observers())


def _train(options: TrainOptions, own: Replica, observers: Observers) -> TrainResult:
    folder = RunFolder(options.folder)
    changes = folder.prepare(options)
    done = folder.read_result()
    if done and not changes:
        observers.event(Notice("This run is complete; give it a longer --time or --steps to go on."))
        return done
    named = done is not None and done.name == options.name
    if options.name is not None and not named:
        check_name_free(options.name, options.scale)
    start = load_start(options)
    for sentence in (*changes, *start.notes):
        observers.event(Notice(sentence))
    stages = plan_stages(own.device.type == "cuda", options.patch, options.batch, own.world)
    data, validator = _split_validation(choose_data(options, stages, observers.event), options, own, observers.event)
    bank = decode(data.training, options.scale, own, observers.event, observers.progress)
    sampler = Sampler(bank, options.seed, own.device, own.rank, own.world)
    recorder = Recorder(folder, describe(options, start, data), own, observers.event)
    trainer = _trainer(options, start, stages, sampler, validator, recorder)
    try:
        _begin(trainer, folder, data)
        with stop_on_signals() as stop:
            trainer.run(stop)
    finally:
        recorder.close()
    if own.is_main_process and options.name is not None:
        register(folder.best, options.name, overwrite=named)
    return _finish(trainer, folder, data, start)


def describe(options: TrainOptions, start: Start, data: Data) -> CheckpointMetadata:
    """Return what the weights files of the run say about themselves, as far as it is known before the run."""
    config = start.network.config
    length = f"{options.steps} steps" if options.steps is not None else f"{options.length_seconds:.0f} s"
    training: dict[str, str | int | float] = {
        "start": start.source,
        "optimizer": start.optimizer,
        "lr": start.lr,
        "ema": options.ema,
        "seed": options.seed,
        "degrade": options.degrade,
        "length": length,
        "pictures": len(data.training),
    }
    kind = "photo" if options.degrade == "photo" else "custom"
    return CheckpointMetadata(config.scale, config.channels, config.blocks, options.name or kind, training)


def _split_validation(
    data: Data, options: TrainOptions, own: Replica, observer: TrainObserver
) -> tuple[Data, Validator]:
    """Read the held-out pictures; return the data without those that turned out to be unusable, which are reported."""
    budget = GPU_PIXELS if own.device.type == "cuda" else CPU_PIXELS
    crops, unusable = cut_crops(data.held_out, options.scale, budget)
    for each in unusable:
        observer(each)
    if options.degrade == "photo":
        crops = damaged(crops, options.scale, options.seed)
    return data.without(unusable), Validator(crops, options.scale, own)


def _trainer(
    options: TrainOptions,
    start: Start,
    stages: tuple[Stage, ...],
    sampler: Sampler,
    validator: Validator,
    recorder: Recorder,
) -> Trainer:
    device = validator.replica.device
    network = copy.deepcopy(start.network).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    if device.type == "cuda":
        compile_blocks(network)
    state = TrainingState(network, EMA(network, options.ema), loss_scale(device), body_rests=start.new_upsampler)
    schedule = Schedule(
        options.steps, options.length_seconds, stages, options.warmup, start.new_upsampler, options.mse_last
    )
    return Trainer(state, options, schedule, start.optimizer, start.lr, sampler, validator, recorder)


def _begin(trainer: Trainer, folder: RunFolder, data: Data) -> None:
    """Go on from the saved state, or measure the start; report either."""
    state, recorder, validator = trainer.state, trainer.recorder, trainer.validator
    if folder.state.exists():
        trainer.restore(read_state(folder.state, validator.replica.device))
    else:
        averaged = recorder.averaged(state)
        state.bicubic_psnr = validator.bicubic_psnr()
        state.start_psnr = state.best_psnr = state.last_psnr = validator.psnr(averaged)
        recorder.create(trainer.options, data, state)
    validator.replica.wait()
    recorder.begin(state, data)


def _finish(trainer: Trainer, folder: RunFolder, data: Data, start: Start) -> TrainResult:
    """Write what the leading process writes at the end; return the result."""
    options, state = trainer.options, trainer.state
    result = result_of(state, folder.best, len(data.held_out), options.name)
    if trainer.validator.replica.is_main_process:
        best = load_checkpoint(folder.best).network
        draw_samples(trainer.validator.crops, start.network, best, folder.samples)
        folder.write_record(options, data.summary(), result.as_json())
    return result
