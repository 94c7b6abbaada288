"""Choose the weights of every network pass, and load each network once.

With `--model auto` the choice follows the compression damage of the source; benchmarks/auto.md has the figures behind
that rule.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.media.image.jpeg_quality import has_reduced_color, quality_of
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.store import Model, WeightsFile, find_model, resolve

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler
    from esrt_core.media.image.picture import ImageInfo
    from esrt_core.media.video.clip import ClipInfo  # PyAV, which only clips need

AUTO, CLEAN, PHOTO = "auto", "clean", "photo"
# From these values on, the clean weights are closer to the ground truth.
CLEAN_FROM_QUALITY = 93  # of a JPEG, by its quantization tables
CLEAN_FROM_QUALITY_SUBSAMPLED = 95  # of one with subsampled chroma
CLEAN_FROM_CLIP_BITS = 0.30  # bits per px and frame, sound included
CLEAN_FROM_MODERN_CLIP_BITS = 0.12  # of a codec that needs fewer
MODERN_CODECS = ("av1", "hevc", "vp9")
LOSSLESS_CODECS = (
    "dnxhd", "ffv1", "ffvhuff", "hqx", "huffyuv", "magicyuv", "png", "prores", "qtrle", "rawvideo", "utvideo", "v210",
)  # fmt: skip


@dataclass(frozen=True)
class ModelChain:
    """Name the models of the first pass and of the later ones, and the scales that each offers.

    The output of a pass is no longer a damaged photo, so `clean` follows `photo`. `reason` says why the chain was
    chosen; it is empty if the user chose.
    """

    first: str
    scales: tuple[int, ...]
    later: str
    later_scales: tuple[int, ...]
    reason: str = ""

    def model(self, pass_index: int) -> str:
        """Return the model of a pass, counted from 0."""
        return self.later if pass_index else self.first

    def passes(self) -> Iterator[tuple[int, int]]:
        """Yield (pass index, scale) of every pass that a picture may take; all passes after the first share weights."""
        yield from ((0, scale) for scale in self.scales)
        yield from ((1, scale) for scale in self.later_scales)


def single_chain(model: str, scales: Sequence[int]) -> ModelChain:
    """Return the chain in which one model makes all passes."""
    return ModelChain(model, tuple(scales), model, tuple(scales))


@dataclass(frozen=True)
class ChainSelector:
    """Hold the chains that a model name offers: the plain one and, with `auto`, one for damaged sources.

    `notes` holds what the user should know about how the weights were found.
    """

    requested: str
    plain: ModelChain
    damaged: ModelChain | None = None
    notes: tuple[str, ...] = ()

    def all(self) -> tuple[ModelChain, ...]:
        """Return every chain that a picture may get."""
        return (self.plain,) if self.damaged is None else (self.plain, self.damaged)

    def choose(self, damage: str | None) -> ModelChain:
        """Return the chain for a picture; `damage` describes its compression damage, None if negligible."""
        if self.damaged is None:
            return self.plain
        return (
            replace(self.plain, reason="little or nothing lost")
            if damage is None
            else replace(self.damaged, reason=damage)
        )

    def for_cleaning(self) -> ChainSelector:
        """Return a selector that cleans up pictures at their own size: with `auto`, always as if they were damaged."""
        if self.damaged is None:
            return self
        return replace(self, plain=replace(self.damaged, reason="cleaned up at the same size"), damaged=None)


def find_chains(model: str, progress: ProgressCallback = ignore_progress) -> ChainSelector:
    """Return the chains of a model; weights are downloaded only if the model is an address.

    Raises: WeightsError if the model is unknown.
    """
    found = find_model(model, progress)
    if model == PHOTO:
        return ChainSelector(model, _photo(found), notes=found.notes)
    plain = single_chain(CLEAN if model == AUTO else model, found.scales)
    return ChainSelector(model, plain, _photo(find_model(PHOTO)) if model == AUTO else None, found.notes)


def _photo(found: Model) -> ModelChain:
    return ModelChain(PHOTO, found.scales, CLEAN, find_model(CLEAN).scales)


@dataclass(frozen=True)
class ResolvedWeights:
    """Hold the chains of a model and its verified weights files, by (model, scale)."""

    selector: ChainSelector
    files: Mapping[tuple[str, int], WeightsFile]


class UpscalerPool:
    """Hold the upscalers of one model, each made on first use.

    selector  the chains that a picture can get; `chain` is the one this pool uses.
    notes     what the user should know about how the weights were found.

    `progress` receives downloads. With `resolved`, no weights are searched for.

    Raises: WeightsError if the model is unknown.
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
        self._resolved = resolved
        self._upscalers: dict[tuple[str, int], Upscaler] = {}

    @property
    def model(self) -> str:
        """The name of the first pass's weights."""
        return self.chain.first

    @property
    def scales(self) -> tuple[int, ...]:
        """The scales that the first pass offers."""
        return self.chain.scales

    def for_chain(self, chain: ModelChain) -> UpscalerPool:
        """Return a pool that uses another chain and shares the loaded networks with this one."""
        pool = copy.copy(self)
        pool.chain = chain
        return pool

    def weights(self, scale: int, pass_index: int = 0) -> WeightsFile:
        """Return the verified weights file of a pass, given its scale and its index in the chain."""
        model = self.chain.model(pass_index)
        return resolve(model, scale, self._progress) if self._resolved is None else self._resolved.files[model, scale]

    def upscaler(self, scale: int, pass_index: int = 0) -> Upscaler:
        """Return the upscaler of a pass.

        Raises: WeightsError or DeviceError if it cannot be made.
        """
        key = (self.chain.model(pass_index), scale)
        if key not in self._upscalers:
            from esrt_core.engine.upscaler import Upscaler
            from esrt_core.weights.tensors import load_weights

            file = self.weights(scale, pass_index)
            self.notes.extend(file.notes)
            self._upscalers[key] = Upscaler(load_weights(file.path), self.options)
        return self._upscalers[key]

    def load(self, passes: Iterable[int]) -> None:
        """Make the upscalers of a chain of passes.

        Raises: what upscaler() raises.
        """
        for pass_index, scale in enumerate(passes):
            self.upscaler(scale, pass_index)


def assess_image(info: ImageInfo) -> str | None:
    """Describe the compression damage of a picture; None if it is too small to change the choice of weights."""
    if info.quality is not None:
        return _assess_jpeg(info.quality, info.reduced_color)
    good = info.format.clean_from_bits
    if info.lossless is True or good is None:
        return None
    bits = 8 * info.byte_size / (info.width * info.height * info.pages)
    return _assess_bits(info.format.label, bits, good)


def assess_pillow_image(image: Image.Image) -> str | None:
    """Like assess_image, for a Pillow image; only an image returned by Image.open still has its quantization tables."""
    quality = quality_of(image)
    return None if quality is None else _assess_jpeg(quality, has_reduced_color(image))


def assess_clip(clip: ClipInfo) -> str | None:
    """Like assess_image, for a clip, by its codec and its bits per pixel."""
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
    return f"{kind} of {bits:.2g} bits per pixel" if bits < good else None
