"""What will be done for one picture, decided and checked before any pixel is decoded."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.files import check_target, free_bytes, target_key
from esrt_core.media.encoder import check_fits
from esrt_core.media.encoding import pages_kept
from esrt_core.media.formats import Format
from esrt_core.media.opening import load_extra
from esrt_core.media.options import EncodeOptions
from esrt_core.media.picture import ImageInfo
from esrt_core.pipeline.inputs import Input, examine
from esrt_core.pipeline.lineup import Lineup, Lineups
from esrt_core.pipeline.loss import loss_of_picture
from esrt_core.pipeline.options import UpscaleOptions
from esrt_core.pipeline.sizes import SizePlan, SizeRequest, plan_size
from esrt_core.pipeline.targets import Target, decide_target, names_folder

# Bytes per pixel that even a very smooth picture takes: with less than that free, the work cannot end well.
LEAST_BYTES = {"bmp": 3.0, "png": 0.02, "tiff": 0.02, "jpeg": 0.015, "webp": 0.003, "avif": 0.002}

Place = Callable[[Input, Format, str, UpscaleOptions], Target]


@dataclass(frozen=True)
class UpscalePlan:
    """Hold what upscale_picture() carries out.

    `pages` counts those that are written: one where the target's format has no room for more. `notes` says what the
    choice of the format changes or loses.
    """

    source: Input
    info: ImageInfo
    lineup: Lineup
    size: SizePlan
    target: Target
    pages: int
    notes: tuple[str, ...]
    options: UpscaleOptions

    @property
    def encode(self) -> EncodeOptions:
        """How to write: a lossless source stays lossless in its own format."""
        options = self.options.encode
        if options.lossless is None and options.quality is None and self.target.format == self.info.format:
            return replace(options, lossless=self.info.lossless)
        return options

    def size_of_page(self, width: int, height: int) -> SizePlan:
        """Return the size of a page of (width, height) px: one that differs from the first grows by the same factor."""
        if (width, height) == (self.info.width, self.info.height):
            return self.size
        factor = max(Fraction(self.size.width, self.info.width), Fraction(self.size.height, self.info.height))
        return plan_size(SizeRequest(factor=factor), width, height, self.lineup.scales, self.lineup.later_scales)


def plan_upscale(source: Input, options: UpscaleOptions, lineups: Lineups, place: Place = decide_target) -> UpscalePlan:
    """Look at a picture's headers and decide its weights, size, format and target.

    Raise what plan_result() raises, and TargetError for a place on this machine that cannot be written.
    """
    plan = plan_result(source, options, lineups, place)
    _check_place(plan)
    return plan


def plan_result(source: Input, options: UpscaleOptions, lineups: Lineups, place: Place = decide_target) -> UpscalePlan:
    """Decide a picture's weights, size, format and target, without a look at where the result goes.

    `place` decides the target, from the source, its format, what a name says of the size, and the options.
    Raise MediaError for a picture that cannot be read or a result that its format cannot hold, OptionError for a size
    or an output that cannot be meant.
    """
    info = examine(source, options.limits)
    lineup = lineups.choose(loss_of_picture(info))
    try:
        size = plan_size(options.size, info.width, info.height, lineup.scales, lineup.later_scales)
    except OptionError as error:
        raise type(error)(f"{source.name}: {error}") from error
    target = place(source, info.format, options.size.suffix(lineup.scales), options)
    if target.format.extra:
        load_extra(target.format, target.name)
    pages, lost = pages_kept(info, target.format)
    plan = UpscalePlan(source, info, lineup, size, target, pages, (*target.notes, *lost), options)
    _check_result(plan)
    return plan


def check_distinct(plans: Iterable[UpscalePlan]) -> None:
    """Raise OptionError where two pictures would become one file."""
    seen: dict[str, UpscalePlan] = {}
    for plan in plans:
        if plan.target.path is None:
            continue
        key = target_key(plan.target.path)
        if key in seen:
            both = f"{seen[key].source.name} and {plan.source.name}"
            raise OptionError(f"{both} would both become {plan.target.name}; upscale them one by one with -o")
        seen[key] = plan


def _check_result(plan: UpscalePlan) -> None:
    """Refuse a result that is larger than allowed, or than its format can be."""
    size, name = plan.size, plan.source.name
    limit = plan.options.limits.max_pixels
    if size.width * size.height > limit:
        raise MediaError(
            f"{name}: the result would have {size.width} x {size.height} px, more than the {limit:,} px allowed; "
            "ask for a smaller size or raise --max-pixels"
        )
    try:
        check_fits(plan.target.format, size.width, size.height)
    except MediaError as error:
        raise MediaError(f"{name}: {error}") from error


def _check_place(plan: UpscalePlan) -> None:
    """Refuse a target that cannot be written, its sheet's included, and a disk that is surely too full."""
    path, options = plan.target.path, plan.options
    if path is None:
        return
    sources = [plan.source.path] if plan.source.path else []
    may_make_folder = options.output is not None and names_folder(options.output)
    for each in (path, plan.target.sheet if options.compare else None):
        if each is not None:
            check_target(each, options.overwrite, sources, may_make_folder)
    needed = math.ceil(LEAST_BYTES.get(plan.target.format.name, 0) * plan.size.width * plan.size.height * plan.pages)
    free = free_bytes(path.parent)
    if free < needed:
        raise TargetError(
            f"{plan.target.name}: at least {needed:,} bytes are needed and {free:,} are free on this disk; "
            "free some space or choose another folder with -o"
        )
