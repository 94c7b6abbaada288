"""Decide and check what will be done for one picture before any pixel is decoded: weights, size, target, format."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.files import check_target, display_name, free_bytes, target_key
from esrt_core.media.frame import Frame
from esrt_core.media.image.decode import probe
from esrt_core.media.image.encode import pages_kept
from esrt_core.media.image.formats import Format, check_fits, format_for_path, written_as
from esrt_core.media.image.opening import load_extra, source_name
from esrt_core.media.image.picture import EncodeOptions, ImageInfo, ReadLimits, Source
from esrt_core.pipeline.image.names import filled
from esrt_core.pipeline.image.options import STANDARD_STREAM, UpscaleOptions, writable_format
from esrt_core.pipeline.sizes import SizePlan, SizeRequest, chain_cost, plan_size
from esrt_core.selection import BY_PIXELS, ChainSelector, ModelChain, container_of_image

_SLASHES = tuple({"/", os.sep})


@dataclass(frozen=True)
class Input:
    """Identify one picture: the path of its file, the bytes from standard input, or a remote one."""

    source: Source

    @property
    def name(self) -> str:
        """The name for messages."""
        return source_name(self.source)

    @property
    def path(self) -> Path | None:
        """Its file, or None."""
        return self.source if isinstance(self.source, Path) else None


class SheetError(MediaError):
    """Reject a comparison sheet that esrt wrote, which is not a photo."""


def examine(picture: Input, limits: ReadLimits) -> ImageInfo:
    """Return what the headers of a picture tell.

    Raises: OptionError if it is a folder, MediaError if it cannot be read, SheetError if it is a comparison sheet.
    """
    if picture.path is not None and os.path.isdir(picture.path):  # noqa: PTH112 (Path.is_dir raises for long names)
        raise OptionError(f"{picture.name} is a folder; use: esrt batch {picture.name}")
    info = probe(picture.source, limits)
    if info.is_sheet:
        raise SheetError(f"{picture.name} is a comparison sheet written by esrt; give the picture itself")
    return info


@dataclass(frozen=True)
class Target:
    """Hold the file of a result (None for standard output), its format, and notes for the user about that choice."""

    path: Path | None
    format: Format
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name for messages."""
        return "standard output" if self.path is None else display_name(self.path)

    @property
    def sheet(self) -> Path | None:
        """The file of the comparison, beside the result."""
        return None if self.path is None else self.path.with_name(f"{self.path.stem}_compare.png")


def decide_target(picture: Input, source: Format, suffix: str, options: UpscaleOptions) -> Target:
    """Return where the result of one picture goes.

    `source` is the picture's own format and `suffix` the size as it appears in the new name ("x4").

    Raises: OptionError if the output's extension names no format, or another one than `--format`.
    """
    output = options.output
    if output is None and picture.path is None:
        output = STANDARD_STREAM
    if output is not None and output != STANDARD_STREAM and not names_folder(output):
        if options.name is not None:
            raise OptionError(f"-o {output} names the result already; use a folder, ending in /, with --name")
        return Target(Path(output), _format_of_file(Path(output), options.format))
    chosen = writable_format(options.format) if options.format else written_as(source)
    changed = options.format is None and chosen != source
    notes = (f"{source.label} can be read but not written: the result is {chosen.label}",) if changed else ()
    if output == STANDARD_STREAM:
        return Target(None, chosen, notes)
    named = picture.path or Path("stdin")
    folder = named.parent if output is None else Path(output)
    extension = _extension(named, chosen)
    name = f"{named.stem}_{suffix}{extension}"
    if options.name is not None:
        scale = "" if options.size.is_in_pixels else suffix.removeprefix("x")
        values = {"model": Path(options.model).stem, "scale": scale, "size": suffix}
        name = named_by(options.name, {**values, "stem": named.stem, "ext": extension[1:]}, chosen)
    return Target(folder / name, chosen, notes)


def named_by(template: str, values: Mapping[str, str], target: Format) -> str:
    """Return a checked template filled in: a plain file name with an extension of the target format."""
    name = filled(template, values)
    return name if format_for_path(Path(name)) == target else f"{name or '_'}.{values['ext']}"


def names_folder(output: str) -> bool:
    """Return whether an -o value names a folder, that is, ends in a slash."""
    return output.endswith(_SLASHES) or output in (".", "..")


def _format_of_file(path: Path, requested: str | None) -> Format:
    if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise OptionError(f"{display_name(path)} is a folder; name a file, or end the path with / to write into it")
    named = format_for_path(path)
    if requested is not None:
        wanted = writable_format(requested)
        if named is not None and named != wanted:
            raise OptionError(
                f"{display_name(path)} is named as {named.label} but --format is {wanted.label}; change one of them"
            )
        return wanted
    if named is None:
        problem = f"cannot write '{path.suffix}'" if path.suffix else "the name has no extension"
        raise OptionError(f"{display_name(path)}: {problem}; use an extension such as .png or .jpg, or --format")
    return writable_format(named.name)


def _extension(source: Path, chosen: Format) -> str:
    """Return the source's own extension if it names the format that is written, else that format's first one."""
    return source.suffix if format_for_path(source) == chosen else chosen.extensions[0]


TargetRule = Callable[[Input, Format, str, UpscaleOptions], Target]


@dataclass(frozen=True)
class UpscalePlan:
    """Hold everything that has been decided about one picture.

    `chain` makes its passes. If `selector` has several, it is the one that takes longest until choose_chain() has seen
    the pixels; name, size and format of the result do not depend on it. `pages` counts the pages that are written: one
    if the target's format holds only one. `notes` says what the choice of format changes or loses. `root` is a folder
    above the target that is never created, because its drive may have been disconnected; without it, all are.
    """

    source: Input
    info: ImageInfo
    selector: ChainSelector
    chain: ModelChain
    size: SizePlan
    target: Target
    pages: int
    notes: tuple[str, ...]
    options: UpscaleOptions
    root: Path | None = None

    @property
    def encode(self) -> EncodeOptions:
        """How to encode the result: a lossless source stays lossless in its own format."""
        options = self.options.encode
        if options.lossless is None and options.quality is None and self.target.format == self.info.format:
            return replace(options, lossless=self.info.lossless)
        return options

    @property
    def model(self) -> str:
        """The name of the first pass's weights; "auto" until they are chosen."""
        return self.selector.requested if self.is_open else self.chain.first

    @property
    def reason(self) -> str:
        """Why these weights make the first pass, or how they will be chosen; empty if the user chose them."""
        return BY_PIXELS if self.is_open else self.chain.reason

    @property
    def is_open(self) -> bool:
        """Whether the weights are still to be chosen by the pixels."""
        return bool(self.selector.others) and not self.chain.reason

    @property
    def choices(self) -> tuple[tuple[ModelChain, tuple[int, ...]], ...]:
        """Every chain whose weights the first page may need, with its passes."""
        chains = [*self.selector.all()]
        chains += [replace(chain, first=chain.weaker, weaker="", strength=None) for chain in chains if chain.weaker]
        return tuple((chain, self._size_with(chain).passes) for chain in chains)

    def choose_chain(self, frame: Frame) -> "UpscalePlan":
        """Return the plan with the weights that suit the picture, whose first page is given."""
        factor = max(Fraction(self.size.width, self.info.width), Fraction(self.size.height, self.info.height))
        chain = self.selector.choose([frame], container_of_image(self.info), factor)
        return replace(self, chain=chain, size=self._size_with(chain))

    def _size_with(self, chain: ModelChain) -> SizePlan:
        return plan_size(self.options.size, self.info.width, self.info.height, chain.scales, chain.later_scales)

    def size_of_page(self, width: int, height: int) -> SizePlan:
        """Return the size plan of a page of (width, height) px; all pages grow by the factor of the first."""
        if (width, height) == (self.info.width, self.info.height):
            return self.size
        factor = max(Fraction(self.size.width, self.info.width), Fraction(self.size.height, self.info.height))
        return plan_size(SizeRequest(factor=factor), width, height, self.chain.scales, self.chain.later_scales)


def plan_upscale(
    source: Input, options: UpscaleOptions, selector: ChainSelector, target_rule: TargetRule = decide_target
) -> UpscalePlan:
    """Read a picture's headers and decide its weights, size, format and target.

    Raises: what plan_result() raises, and TargetError if the target cannot be written.
    """
    plan = plan_result(source, options, selector, target_rule)
    _check_writable(plan)
    return plan


def plan_result(
    source: Input, options: UpscaleOptions, selector: ChainSelector, target_rule: TargetRule = decide_target
) -> UpscalePlan:
    """Decide a picture's weights, size, format and target without checking that the target can be written.

    `target_rule` gets the source, its format, the size as it appears in a name, and the options.

    Raises: MediaError if the picture cannot be read or the format cannot hold the result, OptionError if the size or
    the output is invalid.
    """
    info = examine(source, options.limits)
    if options.strength is not None:
        selector = selector.blend(options.strength)
    elif options.size.cleans_up:
        selector = selector.for_cleaning()
    try:
        sizes = [(chain, plan_size(options.size, info.width, info.height, chain.scales, chain.later_scales))
                 for chain in selector.all()]  # fmt: skip
    except OptionError as error:
        raise type(error)(f"{source.name}: {error}") from error
    chain, size = max(sizes, key=lambda each: chain_cost(each[1].passes))
    target = target_rule(source, info.format, options.size.suffix(chain.scales), options)
    if target.format.extra:
        load_extra(target.format, target.name)
    pages, lost = pages_kept(info, target.format)
    plan = UpscalePlan(source, info, selector, chain, size, target, pages, (*target.notes, *lost), options)
    _check_result(plan)
    return plan


def check_distinct(plans: Iterable[UpscalePlan]) -> None:
    """Raise OptionError if two pictures would have the same target."""
    by_target: dict[str, UpscalePlan] = {}
    for plan in plans:
        if plan.target.path is None:
            continue
        key = target_key(plan.target.path)
        if key in by_target:
            both = f"{by_target[key].source.name} and {plan.source.name}"
            raise OptionError(f"{both} would both be written to {plan.target.name}; upscale them one by one with -o")
        by_target[key] = plan


def _check_result(plan: UpscalePlan) -> None:
    """Raise MediaError if the result is larger than allowed or than its format can hold."""
    size, name = plan.size, plan.source.name
    limit = plan.options.limits.max_pixels
    if size.width * size.height > limit:
        raise MediaError(
            f"{name}: the result would have {size.width} x {size.height} px, more than the {limit:,} px allowed; "
            "request a smaller size or raise --max-pixels"
        )
    try:
        check_fits(plan.target.format, size.width, size.height)
    except MediaError as error:
        raise MediaError(f"{name}: {error}") from error


def _check_writable(plan: UpscalePlan) -> None:
    """Raise TargetError if the target or its comparison cannot be written or its disk is certainly too full."""
    path, options = plan.target.path, plan.options
    if path is None:
        return
    sources = [plan.source.path] if plan.source.path else []
    may_make_folder = options.output is not None and names_folder(options.output)
    for each in (path, plan.target.sheet if options.compare else None):
        if each is not None:
            check_target(each, options.overwrite, sources, may_make_folder)
    needed = math.ceil(plan.target.format.least_bytes * plan.size.width * plan.size.height * plan.pages)
    free = free_bytes(path.parent)
    if free < needed:
        raise TargetError(
            f"{plan.target.name}: needs at least {needed:,} bytes but only {free:,} are free on this disk; "
            "free some space or choose another folder with -o"
        )
