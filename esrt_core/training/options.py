"""The options of a training run, validated once, without torch, and the packages that training needs."""

import importlib.util
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from esrt_core.architecture import SCALES
from esrt_core.engine.options import EngineOptions
from esrt_core.errors import OptionError, TrainingError
from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, ReadLimits

DEGRADATIONS = ("none", "photo")
OPTIMIZERS = ("auto", "adam", "muon")
DEFAULT_SECONDS = 30 * 60.0
PACKAGES = ("matplotlib", "threadpoolctl")


def check_packages() -> None:
    """Check that the packages of the extra `train` are installed.

    Raises: TrainingError if one is missing.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(f'training needs {" and ".join(missing)}: pip install ".[train]"')


@dataclass(frozen=True)
class TrainOptions:
    """Hold the options of a training run.

    sources       pictures, or folders searched recursively.
    start         weights to start from: a model's name or a file; of another scale, only the body is used.
    from_scratch  start from random weights with `channels` and `blocks` instead.
    steps         length in optimizer steps; `seconds` is the length in time; 30 minutes if neither is given.
    val           pictures to validate on; by default some of the sources are held out.
    lr_dir        LR pictures paired by name with the sources; by default LR is made by bicubic.
    out           the run's folder; by default `runs/<name>-x<scale>` in the working directory.
    batch         patches per step, over all processes; `patch` is the side of an LR patch in px. By default both
                  follow the device's stages (small patches first).
    lr            peak learning rate; the default depends on the start and the optimizer.
    optimizer     "adam", "muon", or "auto": muon from scratch, else adam.
    fft_weight    weight of the frequency-domain term beside L1.
    mse_last      share of the run, at its end, with MSE as the loss.
    max_pixels    the largest picture to use, in px.
    force         register the weights under `name` even if they did not beat the start.
    save_seconds  time between saves.
    validations   number of validations, evenly spaced over the run.

    Raises: OptionError if a value is out of range or two options exclude each other.
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
    force: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __post_init__(self) -> None:
        if not self.sources:
            raise OptionError("no pictures to train on; name a picture or a folder")
        if self.steps is not None and self.seconds is not None:
            raise OptionError("use either --steps or --time, not both")
        self._check_choice("scale", self.scale, SCALES)
        self._check_choice("degradation", self.degrade, DEGRADATIONS)
        self._check_choice("optimizer", self.optimizer, OPTIMIZERS)
        if self.lr_dir is not None and self.degrade != "none":
            raise OptionError("use either --lr-dir or --degrade, not both: given small pictures are used unchanged")
        self._check_numbers()
        ReadLimits(self.max_pixels)
        EngineOptions(self.device)

    @staticmethod
    def _check_choice(what: str, value: object, choices: tuple[object, ...]) -> None:
        if value not in choices:
            raise OptionError(f"unknown {what} {value!r}; choose one of {', '.join(map(str, choices))}")

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
                raise OptionError(f"{option} must be at least {least:g}, not {value}")
        if not 0 <= self.ema < 1:
            raise OptionError(f"--ema must be at least 0 and below 1, not {self.ema}")
        if not 0 <= self.mse_last <= 1:
            raise OptionError(f"--mse-last must be from 0 to 1, not {self.mse_last}")

    @property
    def length_seconds(self) -> float | None:
        """Seconds of training, None if the length is given in steps."""
        return None if self.steps is not None else self.seconds or DEFAULT_SECONDS

    @property
    def folder(self) -> Path:
        """The run's folder."""
        if self.out is not None:
            return self.out
        return Path("runs") / f"{self.name or self.sources[0].resolve().stem}-x{self.scale}"

    def as_json(self) -> dict[str, Any]:
        """Return the options as JSON values for run.json, with absolute paths."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
