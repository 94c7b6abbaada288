"""Run a training from its first check to its result, and register the weights so that `--model NAME` finds them."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import torch

from esrt_core.engine.device import choose_device, use_torch_threads
from esrt_core.errors import OptionError
from esrt_core.evaluation.damage import damage_warning, look, visible_damage
from esrt_core.media.frame import Frame
from esrt_core.model.esrt import ESRT
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.training.bank import Data, choose_data, decode
from esrt_core.training.distributed import Replica, join
from esrt_core.training.events import Notice, TrainObserver, ignore_event
from esrt_core.training.loop import Trainer, stop_on_signals
from esrt_core.training.options import TrainOptions, check_packages
from esrt_core.training.precision import compile_blocks, loss_scale
from esrt_core.training.recorder import Recorder, draw_samples
from esrt_core.training.run_folder import RunFolder, TrainResult, result_of
from esrt_core.training.sampler import Sampler
from esrt_core.training.schedule import Schedule, Stage, plan_stages
from esrt_core.training.start import Start, load_start
from esrt_core.training.state import EMA, TrainingState, read_state
from esrt_core.training.upsampler import fit_upsamplers
from esrt_core.training.validation import CPU_PIXELS, GPU_PIXELS, Validator, cut_crops, damaged
from esrt_core.weights.catalog import RESERVED_NAMES, check_name
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.header import CheckpointMetadata
from esrt_core.weights.importing import import_weights
from esrt_core.weights.library import imported_rows
from esrt_core.weights.settings import store_options

FITTED_PIXELS = 200_000  # LR px to fit new upsamplers to


@dataclass(frozen=True)
class Observers:
    """Hold the callbacks of a run."""

    event: TrainObserver = ignore_event
    progress: ProgressCallback = ignore_progress


def train(
    options: TrainOptions, observer: TrainObserver = ignore_event, progress: ProgressCallback = ignore_progress
) -> TrainResult:
    """Train ESRT, or resume the run in the options' folder.

    Raises: OptionError, TrainingError, WeightsError or DeviceError, before any work, if the run is impossible;
    StopError after Ctrl-C or SIGTERM, once everything is saved.
    """
    check_packages()
    device = choose_device(options.device)
    replica = join(device)
    with use_torch_threads(options.threads):
        return _train(options, replica, Observers(observer, progress) if replica.is_main_process else Observers())


def check_name_free(name: str, scale: int) -> None:
    """Check that the trained weights can be registered under a name.

    Raises: WeightsError if the name is invalid; OptionError if it is reserved or in use.
    """
    check_name(name)
    if name in RESERVED_NAMES:
        raise OptionError(f"the name '{name}' is reserved for bundled weights; choose another --name")
    if any((row.name, row.scale) == (name, scale) for row in imported_rows(store_options())):
        raise OptionError(f"weights named '{name}' already exist for x{scale}; remove them or choose another --name")


def register(best: Path, name: str, overwrite: bool) -> None:
    """Copy the best weights into the user's library."""
    import_weights(best, name, overwrite, store_options())


def describe(options: TrainOptions, start: Start, data: Data) -> CheckpointMetadata:
    """Return the metadata of the run's weights files, as far as it is known before the run."""
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


def _train(options: TrainOptions, replica: Replica, observers: Observers) -> TrainResult:
    folder = RunFolder(options.folder)
    changes = folder.prepare(options)
    done = folder.read_result()
    if done and not changes:
        observers.event(Notice("this run is complete; use a longer --time or --steps to continue it"))
        return done
    named = done is not None and done.name == options.name
    if options.name is not None and not named:
        check_name_free(options.name, options.scale)
    start = load_start(options)
    for sentence in (*changes, *start.notes):
        observers.event(Notice(sentence))
    stages = plan_stages(replica.device.type == "cuda", options.patch, options.batch, replica.world)
    chosen = choose_data(options, stages, observers.event)
    data, validator = _prepare_validation(chosen, options, replica, observers.event)
    bank = decode(data.training, options.scale, replica, observers.event, observers.progress)
    sampler = Sampler(bank, options.seed, replica.device, replica.rank, replica.world)
    if start.new_upsampler:
        _fit_upsamplers(start.network, sampler, stages[0], options.degrade == "photo", replica)
    recorder = Recorder(folder, describe(options, start, data), replica, observers.event)
    trainer = _trainer(options, start, stages, sampler, validator, recorder)
    try:
        _begin(trainer, folder, data)
        with stop_on_signals() as stop:
            trainer.run(stop)
    finally:
        recorder.close()
    result = _finish(trainer, folder, data, start)
    if result.name is not None:
        if replica.is_main_process:
            register(folder.best, result.name, overwrite=named)
    elif options.name is not None:
        text = f"nothing beat the start, so '{options.name}' is not registered; use --force to register it anyway"
        observers.event(Notice(text))
    return result


def _prepare_validation(
    data: Data, options: TrainOptions, replica: Replica, observer: TrainObserver
) -> tuple[Data, Validator]:
    """Read the held-out pictures; report the unusable ones and return the data without them."""
    budget = GPU_PIXELS if replica.device.type == "cuda" else CPU_PIXELS
    crops, unusable = cut_crops(data.held_out, options.scale, budget)
    for each in unusable:
        observer(each)
    seen = {crop.name: visible_damage(look([Frame((crop.hr,))])) for crop in crops}
    poor = {name: damage for name, damage in seen.items() if damage}
    if poor:
        observer(Notice(f"held out: {damage_warning(poor, len(crops), 'the network learns to reproduce that')}"))
    if options.degrade == "photo":
        crops = damaged(crops, options.scale, options.seed)
    return data.without(unusable), Validator(crops, options.scale, replica)


def _fit_upsamplers(network: ESRT, sampler: Sampler, stage: Stage, damage: bool, replica: Replica) -> None:
    """Fit the upsamplers of a network on the CPU to the first batches of the run."""
    draw = sampler.damaged_batch if damage else sampler.batch
    count = math.ceil(FITTED_PIXELS / (stage.batch * stage.patch**2))
    batches = (draw(step, stage.patch, stage.batch) for step in range(count))
    fit_upsamplers(network.to(replica.device), batches, replica.total)
    network.to("cpu")


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
    state = TrainingState(network, EMA(network, options.ema), loss_scale(device))
    schedule = Schedule(options.steps, options.length_seconds, stages, options.warmup, options.mse_last)
    return Trainer(state, options, schedule, start.optimizer, start.lr, sampler, validator, recorder)


def _begin(trainer: Trainer, folder: RunFolder, data: Data) -> None:
    """Resume from the saved state, or measure the start; report either."""
    state, recorder, validator = trainer.state, trainer.recorder, trainer.validator
    if folder.state.exists():
        trainer.restore(read_state(folder.state, validator.replica.device, state))
    else:
        averaged = recorder.averaged(state)
        state.bicubic_psnr = validator.bicubic_psnr()
        state.start_psnr = state.best_psnr = state.last_psnr = validator.psnr(averaged)
        recorder.create(trainer.options, data, state)
    validator.replica.wait()
    recorder.begin(state, data)


def _finish(trainer: Trainer, folder: RunFolder, data: Data, start: Start) -> TrainResult:
    """Write samples and run.json in the main process; return the result."""
    options, state = trainer.options, trainer.state
    name = options.name if state.best_step or options.force else None
    result = result_of(state, folder.best, len(data.held_out), name)
    if trainer.validator.replica.is_main_process:
        best = load_checkpoint(folder.best).network
        draw_samples(trainer.validator.crops, start.network, best, folder.samples)
        folder.write_record(options, data.summary(), result.as_json())
    return result
