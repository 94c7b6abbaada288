"""What a training run is asked to do, validated once. No torch."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from esrt_core.architecture import SCALES
from esrt_core.errors import OptionError

DEGRADATIONS = ("none", "photo")
OPTIMIZERS = ("auto", "adam", "muon")
DEFAULT_SECONDS = 30 * 60.0


@dataclass(frozen=True)
class TrainOptions:
    """Hold the options of a training run.

    sources       pictures, or folders searched recursively.
    start         weights to start from: a model's name or a file; of another scale, only its body is taken over.
    from_scratch  start from random weights of `channels` and `blocks` instead.
    steps         length in optimizer steps; `seconds` is the length in time; neither means 30 minutes.
    val           pictures to validate on; without it some of the sources are held out.
    lr_dir        small pictures paired by name with the sources; without it they are made by bicubic.
    out           the run's folder; without it `runs/<name>-x<scale>` below the working folder.
    batch         patches a step, over all processes; `patch` is the side of an LR patch in px. Without them both
                  follow the stages of the device (small patches first).
    lr            peak learning rate; without it, what suits the start and the optimizer.
    optimizer     "adam", "muon", or "auto": muon from scratch, else adam.
    fft_weight    weight of the frequency-domain term beside L1; mse_last: share of the run that ends it with MSE.
    save_seconds  time between saves; validations: how many, evenly over the run.
    """

    sources: tuple[Path, ...]
    scale: int
    start: str = "clean"
    from_scratch: bool = False
    steps: int | None = None
    seconds: float | None = None
    val: Path | None = None
    lr_dir: Path | None = None
    out: Path | None = None
    name: str | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    batch: int | None = None
    patch: int | None = None
    lr: float | None = None
    optimizer: str = "auto"
    weight_decay: float | None = None
    ema: float = 0.998
    warmup: int = 50
    fft_weight: float = 0.0
    mse_last: float = 0.0
    degrade: str = "none"
    save_seconds: float = 120.0
    validations: int = 10
    channels: int = 32
    blocks: int = 3

    def __post_init__(self) -> None:
        if not self.sources:
            raise OptionError("No pictures to train on; name a picture or a folder.")
        if self.steps is not None and self.seconds is not None:
            raise OptionError("A run is as long as --steps or as --time say; give one of the two.")
        self._check_choice("scale", self.scale, SCALES)
        self._check_choice("degradation", self.degrade, DEGRADATIONS)
        self._check_choice("optimizer", self.optimizer, OPTIMIZERS)
        if self.lr_dir is not None and self.degrade != "none":
            raise OptionError("--lr-dir and --degrade exclude each other: given small pictures are used as they are.")
        self._check_numbers()

    @staticmethod
    def _check_choice(what: str, value: object, choices: tuple[object, ...]) -> None:
        if value not in choices:
            raise OptionError(f"There is no {what} {value!r}; expected {', '.join(map(str, choices))}.")

    def _check_numbers(self) -> None:
        at_least = {
            "--steps": (self.steps, 1),
            "--time": (self.seconds, 1e-3),
            "--seed": (self.seed, 0),
            "--threads": (self.threads, 1),
            "--batch": (self.batch, 1),
            "--patch": (self.patch, 8),
            "--lr": (self.lr, 1e-9),
            "--weight-decay": (self.weight_decay, 0),
            "--warmup": (self.warmup, 0),
            "--fft": (self.fft_weight, 0),
            "--validations": (self.validations, 1),
            "the save interval": (self.save_seconds, 0),
        }
        for option, (value, least) in at_least.items():
            if value is not None and not value >= least:
                raise OptionError(f"{option} is {value}; expected at least {least:g}.")
        if not 0 <= self.ema < 1:
            raise OptionError(f"--ema is {self.ema}; expected 0 to under 1.")
        if not 0 <= self.mse_last <= 1:
            raise OptionError(f"--mse-last is {self.mse_last}; expected a share from 0 to 1.")

    @property
    def length_seconds(self) -> float | None:
        """Seconds of training, None when the run is measured in steps."""
        return None if self.steps is not None else self.seconds or DEFAULT_SECONDS

    @property
    def folder(self) -> Path:
        """The run's folder."""
        if self.out is not None:
            return self.out
        return Path("runs") / f"{self.name or self.sources[0].resolve().stem}-x{self.scale}"

    def as_json(self) -> dict[str, Any]:
        """Return the options as plain values, paths absolute, for run.json."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
