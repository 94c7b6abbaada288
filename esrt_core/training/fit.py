"""From pictures to weights: everything about a run, in order."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from esrt_core.engine.device import choose_device
from esrt_core.errors import TrainingError
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.training.bank import PictureBank, default_workers, fill_memory
from esrt_core.training.distributed import Replica, replica
from esrt_core.training.ema import EMA
from esrt_core.training.events import Notice, TrainObserver, ignore_event
from esrt_core.training.folder import RunFolder
from esrt_core.training.options import TrainOptions
from esrt_core.training.pictures import Picture, Selection, find_pictures, hold_out
from esrt_core.training.recorder import Recorder
from esrt_core.training.sampler import Sampler
from esrt_core.training.schedule import Schedule, plan_stages
from esrt_core.training.start import Start, load_start
from esrt_core.training.state import TrainingState, read_state
from esrt_core.training.stop import noting_signals
from esrt_core.training.trainer import Trainer
from esrt_core.training.validation import CPU_PIXELS, MIN_VALIDATION_SIDE, MOST_SIDE, Validator, cut_crops
from esrt_core.weights.metadata import CheckpointMetadata


@dataclass(frozen=True)
class TrainResult:
    """Say what came of a run. PSNR on Y of the held-out pictures, dB."""

    best: Path
    steps: int
    seconds: float
    held_out: int
    bicubic_psnr: float
    start_psnr: float
    best_psnr: float
    best_step: int

    @property
    def sentence(self) -> str:
        """How much better, on what, and where the file is."""
        where = f"on {self.held_out} held-out picture{'s' * (self.held_out != 1)}"
        if self.best_step == 0:
            return (
                f"Nothing beat the start ({self.start_psnr:.2f} dB {where}) in {self.steps} steps, "
                f"so the best weights are those of the start: {self.best}"
            )
        gain, over_bicubic = self.best_psnr - self.start_psnr, self.best_psnr - self.bicubic_psnr
        return (
            f"{gain:+.2f} dB over the start and {over_bicubic:+.2f} dB over bicubic "
            f"(PSNR {self.best_psnr:.2f} dB on Y) {where}: {self.best}"
        )


@dataclass(frozen=True)
class Data:
    """Hold the pictures of a run, split."""

    training: tuple[Picture, ...]
    held_out: tuple[Picture, ...]


def train(
    options: TrainOptions, observer: TrainObserver = ignore_event, progress: ProgressCallback = ignore_progress
) -> TrainResult:
    """Train ESRT as the options say, or go on with the run in its folder.

    Raises OptionError, TrainingError, WeightsError or DeviceError before any work where something cannot be; StopError
    after Ctrl-C or SIGTERM, with everything saved.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    with replica(str(device)) as own:
        if not own.leads:
            observer, progress = ignore_event, ignore_progress
        return _train(options, own, observer, progress)


def _train(options: TrainOptions, own: Replica, observer: TrainObserver, progress: ProgressCallback) -> TrainResult:
    folder = RunFolder(options.folder)
    for sentence in folder.prepare(options):
        observer(Notice(sentence))
    start = load_start(options)
    stages = plan_stages(own.device.type == "cuda", options.patch, options.batch, own.world)
    data = choose_data(options, max(stage.patch for stage in stages), observer)
    validator = _validator(options, data, own)
    sampler = Sampler(_bank(options, data, observer, progress), options.seed, own.rank, own.world, str(own.device))
    metadata = describe(options, start)
    recorder = Recorder(folder, metadata, own, observer)
    network = start.network.to(own.device).train()
    state = TrainingState(network, EMA(network, options.ema), body_rests=start.new_upsampler)
    schedule = Schedule(
        options.steps, options.length_seconds, stages, options.warmup, start.new_upsampler, options.mse_last
    )
    trainer = Trainer(state, options, schedule, start.lr, sampler, validator, own, recorder)
    own.wait()
    _begin(trainer, folder, data, options)
    try:
        with noting_signals() as stop:
            trainer.run(stop)
    finally:
        recorder.close()
    return _finish(trainer, folder, data, options)


def choose_data(options: TrainOptions, smallest: int, observer: TrainObserver) -> Data:
    """Find the pictures and split them; reports those that cannot be used. Raises TrainingError when none can."""
    found = _usable(options.sources, options, smallest, observer)
    if options.val is None:
        return Data(*hold_out(found.usable, options.seed))
    held_out = _usable((options.val,), options, MIN_VALIDATION_SIDE, observer)
    own = {picture.path.resolve() for picture in held_out.usable}
    training = tuple(picture for picture in found.usable if picture.path.resolve() not in own)
    if not training:
        raise TrainingError(f"Every picture is also in {options.val}; training and validation need different ones.")
    return Data(training, held_out.usable)


def _usable(sources: tuple[Path, ...], options: TrainOptions, smallest: int, observer: TrainObserver) -> Selection:
    found = find_pictures(sources, options.scale, smallest, options.lr_dir)
    for each in found.unusable:
        observer(each)
    if not found.usable:
        names = ", ".join(map(str, sources))
        reason = f": {found.unusable[0].path.name}: {found.unusable[0].reason}" if found.unusable else ""
        raise TrainingError(f"No usable picture in {names}{reason}.")
    return found


def describe(options: TrainOptions, start: Start) -> CheckpointMetadata:
    """Return what the weights files of the run say about themselves."""
    config = start.network.config
    training: dict[str, str | int | float] = {
        "start": start.source,
        "optimiser": options.optimiser,
        "lr": start.lr,
        "ema": options.ema,
        "seed": options.seed,
        "degrade": options.degrade,
        "length": f"{options.steps} steps" if options.steps is not None else f"{options.length_seconds:.0f} s",
    }
    kind = options.name or ("photo" if options.degrade == "photo" else "custom")
    return CheckpointMetadata(config.scale, config.channels, config.blocks, kind, training)


def _validator(options: TrainOptions, data: Data, own: Replica) -> Validator:
    on_cpu = own.device.type == "cpu"
    budget = CPU_PIXELS if on_cpu else MOST_SIDE**2 * len(data.held_out)
    return Validator(cut_crops(data.held_out, options.scale, budget), options.scale, own)


def _bank(options: TrainOptions, data: Data, observer: TrainObserver, progress: ProgressCallback) -> PictureBank:
    bank, damaged = fill_memory(data.training, options.scale, default_workers(), progress)
    for each in damaged:
        observer(each)
    if not len(bank.table):
        raise TrainingError("Every picture turned out to be damaged; there is nothing to train on.")
    return bank


def _begin(trainer: Trainer, folder: RunFolder, data: Data, options: TrainOptions) -> None:
    """Measure the start, or go on from the saved state; report either."""
    state, own, recorder = trainer.state, trainer.replica, trainer.recorder
    if folder.state.exists():
        trainer.restore(read_state(folder.state, own.device))
    else:
        state.bicubic_psnr = trainer.validator.bicubic_psnr()
        state.start_psnr = state.best_psnr = state.last_psnr = trainer.validator.psnr(recorder.averaged(state))
    if own.leads:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_record(options, _data_summary(data), {})
        if state.step == 0:
            recorder.write_best(recorder.averaged(state))
    recorder.begin(state)
    recorder.observe_start(state, len(data.training), len(data.held_out))


def _finish(trainer: Trainer, folder: RunFolder, data: Data, options: TrainOptions) -> TrainResult:
    state = trainer.state
    result = TrainResult(
        best=folder.best,
        steps=state.step,
        seconds=state.seconds,
        held_out=len(data.held_out),
        bicubic_psnr=state.bicubic_psnr,
        start_psnr=state.start_psnr,
        best_psnr=state.best_psnr,
        best_step=state.best_step,
    )
    if trainer.replica.leads:
        folder.write_record(options, _data_summary(data), {**asdict(result), "best": str(folder.best)})
    return result


def _data_summary(data: Data) -> dict[str, object]:
    pixels = sum(picture.width * picture.height for picture in data.training)
    return {
        "training_pictures": len(data.training),
        "training_pixels": pixels,
        "held_out": [str(picture.path) for picture in data.held_out],
    }
