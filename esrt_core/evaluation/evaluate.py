"""Evaluate a folder: measure every picture; a picture that cannot be measured does not stop the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from esrt_core.architecture import SCALES, scales_text
from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.evaluation.damage import look, visible_damage
from esrt_core.evaluation.dataset import find_lr, find_pictures, read_pair
from esrt_core.evaluation.protocol import Enlarge, PictureScore, Rgb, Score, mean_score, score_picture
from esrt_core.files import atomic_write, check_target
from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import ReadLimits
from esrt_core.progress import Progress, ProgressCallback, ignore_progress


@dataclass(frozen=True)
class EvaluationOptions:
    """Hold the options of an evaluation.

    hr       a folder of HR pictures, or one picture.
    scale    2, 3 or 4.
    lr_dir   a folder of their LR pictures, or None to make LR by MATLAB's bicubic.
    save_to  a folder for the results as PNG, created if it does not exist, or None.

    Raises: OptionError if `scale` or `lr_dir` cannot be used.
    """

    hr: Path
    scale: int
    lr_dir: Path | None = None
    save_to: Path | None = None
    overwrite: bool = False
    limits: ReadLimits = field(default_factory=ReadLimits)

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise OptionError(f"scale must be {scales_text()}, not {self.scale}")
        if self.lr_dir is not None and not self.lr_dir.is_dir():
            raise OptionError(f"{self.lr_dir} is not a folder; --lr-dir names the folder of the LR pictures")


@dataclass(frozen=True)
class Failure:
    """Hold the name of a picture that could not be measured, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """Hold the scores of every picture, those that could not be measured, and the damage of HR pictures by name."""

    scale: int
    pictures: tuple[PictureScore, ...]
    failures: tuple[Failure, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def mean_bicubic(self) -> Score:
        """Mean of bicubic over at least one picture, as the field reports it."""
        return mean_score([picture.bicubic for picture in self.pictures])

    @property
    def mean_esrt(self) -> Score:
        """Mean of ESRT over at least one picture, as the field reports it."""
        return mean_score([picture.esrt for picture in self.pictures])


def evaluate_folder(
    options: EvaluationOptions, enlarge: Enlarge, progress: ProgressCallback = ignore_progress
) -> Evaluation:
    """Measure every picture of a folder, upscaled by bicubic and by `enlarge`.

    A picture that cannot be measured becomes a Failure.

    Raises: OptionError if there are no pictures; TargetError if a result cannot be saved.
    """
    paths = find_pictures(options.hr)
    _prepare_saving(options, paths)
    damaged: dict[str, str] = {}
    outcomes = list(_evaluate(options, paths, enlarge, progress, damaged))
    scores = tuple(outcome for outcome in outcomes if isinstance(outcome, PictureScore))
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
    return Evaluation(options.scale, scores, failures, damaged)


def _evaluate(
    options: EvaluationOptions,
    paths: Sequence[Path],
    enlarge: Enlarge,
    progress: ProgressCallback,
    damaged: dict[str, str],
) -> Iterator[PictureScore | Failure]:
    lr_files = find_pictures(options.lr_dir) if options.lr_dir else None
    for done, path in enumerate(paths):
        progress(Progress("evaluating", done, len(paths), "pictures"))
        try:
            lr_path = None if lr_files is None else find_lr(path, lr_files, options.scale)
            pair = read_pair(path, lr_path, options.scale, options.limits)
            score, result = score_picture(pair.name, pair.lr, pair.hr, options.scale, enlarge)
        except (MediaError, OptionError) as error:
            yield Failure(path.name, str(error))
            continue
        damage = visible_damage(look([Frame((pair.hr,))]))
        if damage:
            damaged[path.name] = damage
        if options.save_to is not None:
            _save(result, _saved_path(options.save_to, path, options.scale), options.overwrite)
        yield score
    progress(Progress("evaluating", len(paths), len(paths), "pictures"))


def _prepare_saving(options: EvaluationOptions, paths: Sequence[Path]) -> None:
    if options.save_to is None:
        return
    try:
        options.save_to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(f"{options.save_to} cannot be created: {error.strerror}; choose another folder") from error
    targets = [_saved_path(options.save_to, path, options.scale) for path in paths]
    for target, path in zip(targets, paths, strict=True):
        if targets.count(target) > 1:
            raise TargetError(f"two results would be named {target.name}, one of {path.name}; rename that picture")
        check_target(target, options.overwrite, paths)


def _saved_path(folder: Path, picture: Path, scale: int) -> Path:
    return folder / f"{picture.stem}x{scale}.png"


def _save(pixels: Rgb, target: Path, overwrite: bool) -> None:
    with atomic_write(target, overwrite) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
