"""Lineup: which weights make the passes of a picture; by what its file has lost, where the user leaves it to us.

Engines: the networks of one model, each loaded once and used for every picture.

What a file's compression has taken: the rule by which `--model auto` chooses its weights.

The figures behind the rule are in benchmarks/auto.md.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.media.image.formats import AVIF, HEIF, WEBP
from esrt_core.media.image.jpeg_quality import has_reduced_color, quality_of
from esrt_core.media.image.picture import ImageInfo
from esrt_core.media.video.clip import ClipInfo
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.store import Model, WeightsFile, find_model, resolve

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler

AUTO, CLEAN, PHOTO = "auto", "clean", "photo"


@dataclass(frozen=True)
class ModelChain:
    """Name the model of the first pass and that of the later ones, and the scales that each can have.

    A pass makes its own input for the next one, which is no damaged photo any more: after `photo` comes `clean`.
    `reason` says why it was chosen, where we chose.
    """

    first: str
    scales: tuple[int, ...]
    later: str
    later_scales: tuple[int, ...]
    reason: str = ""

    def model(self, place: int) -> str:
        """Return the model of a pass; `place` counts from 0."""
        return self.later if place else self.first

    def passes(self) -> Iterator[tuple[int, int]]:
        """Yield the (place, scale) of every pass that a picture may take; all later places have the same weights."""
        yield from ((0, scale) for scale in self.scales)
        yield from ((1, scale) for scale in self.later_scales)


def single_chain(model: str, scales: Sequence[int]) -> ModelChain:
    """Return the line-up of one model that makes all passes."""
    return ModelChain(model, tuple(scales), model, tuple(scales))


@dataclass(frozen=True)
class ChainSelector:
    """Hold what a model's name offers: the plain line-up, and with `auto` another for pictures that lost something.

    `notes` says what the user should know of finding the weights.
    """

    requested: str
    plain: ModelChain
    damaged: ModelChain | None = None
    notes: tuple[str, ...] = ()

    def all(self) -> tuple[ModelChain, ...]:
        """Return every line-up that a picture may get."""
        return (self.plain,) if self.damaged is None else (self.plain, self.damaged)

    def choose(self, damage: str | None) -> ModelChain:
        """Return the line-up of a picture; `damage` says what its compression took, None where that is nothing."""
        if self.damaged is None:
            return self.plain
        return (
            replace(self.plain, reason="little or nothing lost")
            if damage is None
            else replace(self.damaged, reason=damage)
        )


def find_chains(model: str, progress: ProgressCallback = ignore_progress) -> ChainSelector:
    """Return the line-ups of a model; only an address is downloaded for that. Raise WeightsError for an unknown one."""
    found = find_model(model, progress)
    if model == PHOTO:
        return ChainSelector(model, _photo(found), notes=found.notes)
    plain = single_chain(CLEAN if model == AUTO else model, found.scales)
    return ChainSelector(model, plain, _photo(find_model(PHOTO)) if model == AUTO else None, found.notes)


def _photo(found: Model) -> ModelChain:
    return ModelChain(PHOTO, found.scales, CLEAN, find_model(CLEAN).scales)


@dataclass(frozen=True)
class ResolvedWeights:
    """Hold the line-ups of a model and the verified files of its weights, by model and scale."""

    selector: ChainSelector
    files: Mapping[tuple[str, int], WeightsFile]


class UpscalerPool:
    """Hold the upscalers of one model, made when they are first asked for.

    `selector` says which weights a picture can get, `chain` which of them these engines use. `notes` is what was
    noticed while the weights were found. `progress` is told of downloads. `resolved` is used if given, and nothing is
    looked for. Raise WeightsError when there is no such model.
    """

    def __init__(
        self,
        model: str = "auto",
        options: EngineOptions = EngineOptions(),  # noqa: B008 (frozen)
        progress: ProgressCallback = ignore_progress,
        resolved: ResolvedWeights | None = None,
    ) -> None:
        self.options = options
        self.selector = find_chains(model, progress) if resolved is None else resolved.selector
        self.chain = self.selector.plain
        self.notes = list(self.selector.notes)
        self._progress = progress
        self._kit = resolved
        self._upscalers: dict[tuple[str, int], Upscaler] = {}

    @property
    def model(self) -> str:
        """The name of the weights that make the first pass."""
        return self.chain.first

    @property
    def scales(self) -> tuple[int, ...]:
        """The scales that the first pass can have."""
        return self.chain.scales

    def for_chain(self, chain: ModelChain) -> UpscalerPool:
        """Return engines that use another line-up and share what is loaded with these."""
        pool = copy.copy(self)
        pool.chain = chain
        return pool

    def weights(self, scale: int, place: int = 0) -> WeightsFile:
        """Return the verified weights file of a pass: its scale, and its place in the chain."""
        model = self.chain.model(place)
        return resolve(model, scale, self._progress) if self._kit is None else self._kit.files[model, scale]

    def upscaler(self, scale: int, place: int = 0) -> Upscaler:
        """Return the upscaler of a pass; raise WeightsError or DeviceError when it cannot be made."""
        key = (self.chain.model(place), scale)
        if key not in self._upscalers:
            from esrt_core.engine.upscaler import Upscaler
            from esrt_core.weights.checkpoint import load_checkpoint

            file = self.weights(scale, place)
            self.notes.extend(file.notes)
            self._upscalers[key] = Upscaler(load_checkpoint(file.path).network, self.options)
        return self._upscalers[key]

    def load(self, passes: Iterable[int]) -> None:
        """Make the upscalers of a chain of passes; raise what upscaler() raises."""
        for place, scale in enumerate(passes):
            self.upscaler(scale, place)


# From these on the clean weights come closer to the truth.
CLEAN_FROM_QUALITY = 93  # of a JPEG, by its tables
CLEAN_FROM_QUALITY_SUBSAMPLED = 95  # of one whose color has less than full resolution
CLEAN_FROM_IMAGE_BITS = {WEBP: 2.9, AVIF: 1.9, HEIF: 2.0}  # a px, since these files do not say their quality
CLEAN_FROM_CLIP_BITS = 0.30  # a px and frame, sound included
CLEAN_FROM_MODERN_CLIP_BITS = 0.12  # of a codec that needs less

MODERN_CODECS = ("av1", "hevc", "vp9")

LOSSLESS_CODECS = (
    "dnxhd", "ffv1", "ffvhuff", "hqx", "huffyuv", "magicyuv", "png", "prores", "qtrle", "rawvideo", "utvideo", "v210",
)  # fmt: skip


def assess_image(info: ImageInfo) -> str | None:
    """Say what compression took from a picture, None where that is too little for another choice of weights."""
    if info.quality is not None:
        return _assess_jpeg(info.quality, info.reduced_color)
    if info.lossless is True or info.format not in CLEAN_FROM_IMAGE_BITS:
        return None
    bits = 8 * info.byte_size / (info.width * info.height * info.pages)
    return _assess_bits(info.format.label, bits, CLEAN_FROM_IMAGE_BITS[info.format])


def assess_pillow_image(image: Image.Image) -> str | None:
    """Say the same of a Pillow image, which knows its JPEG's tables as long as it is the one that was opened."""
    quality = quality_of(image)
    return None if quality is None else _assess_jpeg(quality, has_reduced_color(image))


def assess_clip(clip: ClipInfo) -> str | None:
    """Say the same of a clip, by its codec and its bits a pixel."""
    video = clip.video
    if video.codec in LOSSLESS_CODECS:
        return None
    pixels = video.width * video.height * video.timing.frames
    good = CLEAN_FROM_MODERN_CLIP_BITS if video.codec in MODERN_CODECS else CLEAN_FROM_CLIP_BITS
    return _assess_bits(video.codec, 8 * clip.size / max(pixels, 1), good)


def _assess_jpeg(quality: int, reduced_color: bool) -> str | None:
    good = CLEAN_FROM_QUALITY_SUBSAMPLED if reduced_color else CLEAN_FROM_QUALITY
    return f"JPEG of quality {quality}" if quality < good else None


def _assess_bits(kind: str, bits: float, good: float) -> str | None:
    return f"{kind} of {bits:.2g} bits a pixel" if bits < good else None
