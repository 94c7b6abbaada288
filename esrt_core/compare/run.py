"""Compare models on one picture: crops to look at, and the gain in dB."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from esrt_core.compare.gain import Reduction, Score, with_expectation
from esrt_core.compare.options import PAGE_SUFFIXES, ComparisonOptions
from esrt_core.compare.page import comparison_page
from esrt_core.compare.reproduce import Damage, reproduced_damage
from esrt_core.engine.upscaler import Upscaled, Upscaler
from esrt_core.errors import MediaError, OptionError
from esrt_core.evaluation.comparison import Candidate, comparison_sheet, to_display_rgb
from esrt_core.evaluation.damage import look
from esrt_core.evaluation.prediction import predict_gains
from esrt_core.evaluation.protocol import Rgb
from esrt_core.files import atomic_write, check_target
from esrt_core.media.alpha import bleed
from esrt_core.media.frame import Frame
from esrt_core.media.image.decode import decode
from esrt_core.media.image.encode import encode
from esrt_core.media.image.picture import SHEET, EncodeOptions, ImageInfo, Page
from esrt_core.media.resize import enlarge_bicubic
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.selection import AUTO, CLEAN, PHOTO, container_of_image, describe, find_chains
from esrt_core.weights.store import DEFAULT_SCALE, WeightsFile, resolve
from esrt_core.weights.tensors import load_weights

_TIE = 0.05  # dB, below which neither kind of weights is the better one


@dataclass(frozen=True)
class ModelRun:
    """Hold which weights made a candidate, and how: tile in px, 0 for the whole picture; tiles that were computed."""

    label: str
    weights: str
    sha256: str
    device: str
    precision: str
    tile: int
    computed: int
    reused: int


@dataclass(frozen=True)
class Comparison:
    """Hold what was written and measured; `scores` has bicubic first, then the models in their order, as `runs` has.

    `damage` says what the reduced picture was damaged by, as the picture itself is; "" if it was not.
    """

    source: str
    target: str
    scale: int
    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    damage: str = ""
    runs: tuple[ModelRun, ...] = ()


def compare_models(options: ComparisonOptions, progress: ProgressCallback = ignore_progress) -> Comparison:
    """Upscale a picture by bicubic and every model, and write a sheet or page of the regions that differ most.

    All candidates are in memory at once. Only the first page of an animation or a multi-page file is used.

    Raises: OptionError if the models have different scales; WeightsError, MediaError, TargetError or DeviceError if
    weights, picture, target or device cannot be used.
    """
    files = _files(options, progress)
    scale = files[0].scale
    target = options.target_for(scale)
    check_target(target, options.overwrite, [options.picture])
    frame, info, notes = _first_page(options, scale)
    rgb = to_display_rgb(frame)
    kind, damage, expected = _damage_of(rgb, info, scale)
    reduction = Reduction(rgb, scale, damage)
    candidates = [Candidate("bicubic", enlarge_bicubic(frame, frame.width * scale, frame.height * scale))]
    scores, runs = [reduction.score_bicubic()], []
    for label, file in zip(_labels(options.models, files), files, strict=True):
        upscaler = Upscaler(load_weights(file.path), options.engine)
        scores.append(reduction.score(label, lambda small, use=upscaler: use.upscale(small).frame))  # type: ignore[misc]
        upscaled = upscaler.upscale(bleed(frame), progress)
        candidates.append(Candidate(label, upscaled.frame))
        runs.append(_run(label, file, upscaler, upscaled, frame.depth))
        notes += [*file.notes, *upscaled.notes]
    if reduction.is_damaged:
        bundled = [model == AUTO or model in expected for model in options.models]
        gains = [expected.get(file.name) if known else None for file, known in zip(files, bundled, strict=True)]
        scores = with_expectation(scores, [None, *gains], reduction.trust)
    _write(target, frame, candidates, scores, reduction.is_damaged, options)
    notes += _notes_on_figures(reduction, kind)
    named = "" if damage is None else kind
    return Comparison(
        str(options.picture), str(target), scale, tuple(scores), tuple(dict.fromkeys(notes)), named, tuple(runs)
    )


def _run(label: str, file: WeightsFile, upscaler: Upscaler, upscaled: Upscaled, depth: int) -> ModelRun:
    used = (upscaler.device_name, upscaler.precision_for(depth), upscaled.tile, upscaled.computed, upscaled.reused)
    return ModelRun(label, str(file.path), file.sha256, *used)


def _damage_of(picture: Rgb, info: ImageInfo, scale: int) -> tuple[str, Damage | None, Mapping[str, float]]:
    """Return what damage is seen, "" for none, how to do it to another picture, if known, and what is expected.

    That is the gain of the photo weights over the clean ones in dB, by name. Of a lossless file damage is believed if
    that gain is more than a tie: gradients that a program made can look like a JPEG.
    """
    seen, container = look([Frame((picture,))]), container_of_image(info)
    expected = predict_gains(seen, container, scale)[PHOTO]
    if info.lossless and expected < _TIE:
        return "", None, {}
    damage = reproduced_damage(picture, seen, container)
    kind = describe(PHOTO, seen, container) if damage is not None or expected > 0 else ""
    return kind, damage, {CLEAN: 0.0, PHOTO: expected}


def _notes_on_figures(reduction: Reduction, damage: str) -> list[str]:
    if not reduction.measurable:
        return [f"the picture is too small to be reduced by {reduction.scale} and measured: no figures in dB"]
    if reduction.is_damaged:
        return [f"{damage}: its reduced version got the same damage, or the figures would reward reproducing it"]
    return [f"{damage}: the figures say how well its damage is reproduced and rank nothing"] if damage else []


def _files(options: ComparisonOptions, progress: ProgressCallback) -> list[WeightsFile]:
    """Return the weights of every model.

    Raises: OptionError if their scales differ.
    """
    files = [resolve(_resolve_auto(model, options), options.scale, progress) for model in options.models]
    if len({file.scale for file in files}) > 1:
        found = ", ".join(f"{file.name} x{file.scale}" for file in files)
        raise OptionError(f"the models have different scales ({found}); choose one with -s")
    return files


def _resolve_auto(model: str, options: ComparisonOptions) -> str:
    """Return the model that `auto` chooses for the picture, and any other model unchanged."""
    if model != AUTO:
        return model
    picture = decode(options.picture, options.limits)
    scale = options.scale or DEFAULT_SCALE
    frame = next(iter(picture.pages)).frame
    chain = find_chains(model).choose([frame], container_of_image(picture.info), Fraction(scale))
    return chain.first if scale in chain.scales else CLEAN


def _labels(models: tuple[str, ...], files: list[WeightsFile]) -> list[str]:
    """Return the models' labels: the names of the weights, or the user's words if two names are equal."""
    names = [file.name for file in files]
    return [f"ESRT ({model if names.count(name) > 1 else name})" for model, name in zip(models, names, strict=True)]


def _first_page(options: ComparisonOptions, scale: int) -> tuple[Frame, ImageInfo, list[str]]:
    """Decode the first page of the picture and return it with what its headers tell, and notes for the user.

    Raises: MediaError if it cannot be read or its result would exceed the limit.
    """
    picture = decode(options.picture, options.limits)
    info = picture.info
    if info.width * info.height * scale**2 > options.limits.max_pixels:
        size = f"{info.width * scale} x {info.height * scale} px"
        raise MediaError(f"{options.picture.name}: {size} exceed --max-pixels; compare a part of the picture")
    page = next(iter(picture.pages))
    multiple = [f"only the first of {info.pages} pages is compared"] if info.pages > 1 else []
    return page.frame, info, [*info.notes, *picture.notes, *page.notes, *multiple]


def _write(
    target: Path,
    source: Frame,
    candidates: list[Candidate],
    scores: list[Score],
    is_damaged: bool,
    options: ComparisonOptions,
) -> None:
    if target.suffix.lower() in PAGE_SUFFIXES:
        page = comparison_page(options.picture.name, source, candidates, scores, is_damaged)
        with atomic_write(target, options.overwrite) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return
    sheet = comparison_sheet(source, candidates)
    with atomic_write(target, options.overwrite) as temporary:
        encode([Page(sheet)], temporary, "png", SHEET, EncodeOptions())
