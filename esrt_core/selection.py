"""Choose the weights of every network pass, and load each network once.

With `--model auto` the choice follows what the pixels of a picture and its container tell; benchmarks/auto.md has the
figures behind that rule.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import OptionError
from esrt_core.evaluation.damage import Look, look
from esrt_core.evaluation.prediction import CODECS, Container, predict_gains
from esrt_core.media.frame import Frame
from esrt_core.media.image.jpeg_quality import quality_of
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.store import Model, WeightsFile, find_model, resolve

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler
    from esrt_core.media.image.picture import ImageInfo
    from esrt_core.media.video.clip import ClipInfo  # PyAV, which only clips need

AUTO, CLEAN, PHOTO, DRAWING = "auto", "clean", "photo", "drawing"
BY_PIXELS = "by pixels"  # how the kind will be chosen, in plans
MODERN_CODECS = ("av1", "hevc", "vp9")
LOSSLESS_CODECS = (
    "dnxhd", "ffv1", "ffvhuff", "hqx", "huffyuv", "magicyuv", "png", "prores", "qtrle", "rawvideo", "utvideo", "v210",
)  # fmt: skip


@dataclass(frozen=True)
class ModelChain:
    """Name the models of the first pass and of the later ones, and the scales that each offers.

    The output of a pass is no longer a damaged photo, so `clean` follows `photo`. `reason` says why the chain was
    chosen; it is empty if the user chose. With a `strength`, the result of the first pass is a blend: this share of it,
    and the rest of that of the model `weaker`.
    """

    first: str
    scales: tuple[int, ...]
    later: str
    later_scales: tuple[int, ...]
    reason: str = ""
    strength: float | None = None
    weaker: str = ""

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
    """Hold the chains that a model name offers: one, or with `auto` the plain one and `others`, one of a kind.

    `notes` holds what the user should know about how the weights were found.
    """

    requested: str
    plain: ModelChain
    others: tuple[ModelChain, ...] = ()
    notes: tuple[str, ...] = ()

    def all(self) -> tuple[ModelChain, ...]:
        """Return every chain that a picture may get."""
        return (self.plain, *self.others)

    def blend(self, strength: float) -> ChainSelector:
        """Return a selector that leaves damage alone (0), removes it (1) or blends both results.

        Only the selector of `auto` has both kinds.
        """
        photo = next(chain for chain in self.others if chain.first == PHOTO)
        if strength in (0, 1):
            return self.only(photo if strength else self.plain)
        return self.only(replace(photo, strength=strength, weaker=self.plain.first))

    def for_cleaning(self) -> ChainSelector:
        """Return a selector that cleans up pictures at their own size: with `auto`, always with the photo weights."""
        if not self.others:
            return self
        return self.only(replace(self.blend(1).plain, reason="cleaned up at the same size"))

    def only(self, chain: ModelChain) -> ChainSelector:
        """Return a selector whose choice is made."""
        return replace(self, plain=chain, others=())

    def choose(self, frames: Sequence[Frame], container: Container, factor: Fraction) -> ModelChain:
        """Return the chain for a picture, or for frames of a clip, that will be enlarged by a factor.

        The kind is the one with the highest expected PSNR; `reason` says what was seen.
        """
        if not self.others or not frames:
            return self.plain
        seen = look(frames)
        scale = next((scale for scale in (2, 3) if factor <= scale), 4)
        gains = {CLEAN: 0.0, **predict_gains(seen, container, scale)}
        chain = max(self.all(), key=lambda each: gains.get(each.first, 0.0))
        return replace(chain, reason=describe(chain.first, seen, container))


def describe(kind: str, seen: Look, container: Container) -> str:
    """Say what was seen of a picture for which a kind of weights was chosen."""
    if container.quality is not None:
        lost = f"JPEG of quality {container.quality}"
    elif container.codec:
        lost = f"{_LABELS[container.codec]} of {container.bits:.2g} bits per pixel"
    elif seen.quality is not None:
        lost = f"looks like a JPEG of quality {seen.quality}"
    elif kind == PHOTO:
        lost = "noise" if seen.is_noisy else "fine detail is missing"
    else:
        lost = "" if kind == DRAWING else "no damage seen"
    return ", ".join(text for text in ("drawing" if kind == DRAWING else "", lost) if text)


_LABELS = {"webp": "WebP", "avif": "AVIF", "heic": "HEIC", "h264": "video", "hevc": "video"}


def check_strength(strength: float | None, model: str) -> None:
    """Raise OptionError if a strength is out of range, or a model is named that it would not use."""
    if strength is None:
        return
    if not 0 <= strength <= 1:
        raise OptionError(f"--strength must be from 0 (leave damage alone) to 1 (remove it), not {strength:g}")
    if model != AUTO:
        raise OptionError(f"--strength blends the clean and the photo weights; leave out --model {model}")


def find_chains(model: str, progress: ProgressCallback = ignore_progress) -> ChainSelector:
    """Return the chains of a model; weights are downloaded only if the model is an address.

    Raises: WeightsError if the model is unknown.
    """
    found = find_model(model, progress)
    if model == PHOTO:
        return ChainSelector(model, _photo(found), notes=found.notes)
    if model != AUTO:
        return ChainSelector(model, single_chain(model, found.scales), notes=found.notes)
    others = (_photo(find_model(PHOTO)), single_chain(DRAWING, find_model(DRAWING).scales))
    return ChainSelector(model, single_chain(CLEAN, found.scales), others, found.notes)


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

    def weaker(self) -> UpscalerPool | None:
        """Return the pool of the other results of a blend, None if this chain makes none."""
        chain = self.chain
        return self.for_chain(replace(chain, first=chain.weaker, weaker="", strength=None)) if chain.weaker else None

    def load(self, passes: Iterable[int]) -> None:
        """Make the upscalers of a chain of passes.

        Raises: what upscaler() raises.
        """
        for pass_index, scale in enumerate(passes):
            self.upscaler(scale, pass_index)


def hashes_of(pool: UpscalerPool, passes: Iterable[int]) -> tuple[str, ...]:
    """Return the SHA-256 of the weights of a chain of passes, which are verified but not loaded.

    Raises: WeightsError if they are missing or damaged.
    """
    return tuple(pool.weights(scale, pass_index).sha256 for pass_index, scale in enumerate(passes))


def container_of_image(info: ImageInfo) -> Container:
    """Return what the headers of a picture tell about its compression."""
    if info.quality is not None:
        return Container(quality=info.quality)
    if info.lossless is True or info.format.name not in CODECS:
        return Container()
    return Container(info.format.name, 8 * info.byte_size / (info.width * info.height * info.pages))


def container_of_pillow(image: Image.Image) -> Container:
    """Like container_of_image; only an image returned by Image.open still has its quantization tables."""
    return Container(quality=quality_of(image))


def container_of_clip(clip: ClipInfo) -> Container:
    """Like container_of_image, for a clip, by its codec and the bits of its video stream."""
    video = clip.video
    if video.codec in LOSSLESS_CODECS:
        return Container()
    pixels = video.width * video.height * video.timing.frames
    return Container("hevc" if video.codec in MODERN_CODECS else "h264", 8 * video.byte_size / max(pixels, 1))
