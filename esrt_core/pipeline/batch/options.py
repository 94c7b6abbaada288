"""What the result of one picture among many is called: its source's own name, or a template's.

FolderOptions: what a user can choose about many pictures, beyond what can be chosen for one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter

from esrt_core.errors import OptionError
from esrt_core.media.image.formats import Format, format_for_path
from esrt_core.pipeline.image.options import STANDARD_STREAM, UpscaleOptions
from esrt_core.pipeline.image.plan import Input, Target, decide_target

FIELDS = ("stem", "model", "scale", "size", "ext")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')


def check_template(template: str) -> None:
    """Raise OptionError where a --name is no template of a file's name."""
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise OptionError(f"--name {template}: {error}; use {known}") from error
    for _, name, specification, conversion in parts:
        if name is not None and (name not in FIELDS or specification or conversion):
            raise OptionError(f"--name {template}: {{{name}}} is not known; use {known}")
    if any(separator in template for separator in "/\\"):
        raise OptionError(f"--name {template} holds a slash; it names a file, -o names the folder")
    if not any(name == "stem" for _, name, _, _ in parts):
        raise OptionError(f"--name {template} is the same for every picture; use {{stem}} in it")


def named_by(template: str, values: Mapping[str, str], target: Format) -> str:
    """Fill a checked template: one plain name, ending in an extension of the format that is written."""
    filled = template.format_map({name: _FORBIDDEN.sub("_", values[name]) for name in FIELDS})
    name = _FORBIDDEN.sub("_", filled).lstrip(". ").rstrip(". ")
    if format_for_path(Path(name)) != target:
        name = f"{name or '_'}.{values['ext']}"
    return name


def target_in(
    folder: Path,
    template: str | None,
    values: Mapping[str, str],
    picture: Input,
    source: Format,
    suffix: str,
    options: UpscaleOptions,
) -> Target:
    """Return the target of a picture in `folder`: by a template, or under the source's own name.

    `values` fills {model} and {scale}; the rest as decide_target() takes it.
    """
    usual = decide_target(picture, source, suffix, replace(options, output=None))
    if picture.path is None or usual.path is None:
        return usual
    stem, extension = picture.path.stem, usual.path.suffix
    if template is None:
        return replace(usual, path=folder / f"{stem}{extension}")
    filled = named_by(template, {**values, "stem": stem, "size": suffix, "ext": extension[1:]}, usual.format)
    return replace(usual, path=folder / filled)


@dataclass(frozen=True)
class FolderOptions:
    """Say which pictures are meant, and where their results go.

    inputs        folders, files and globs.
    output        the folder of the results; None for `<dir>_x4` beside a folder, and for beside the picture of a file.
    upscale       what is wanted of every picture; its own `output` is not used.
    include       globs of which a picture's path or name must match one, where there are any.
    exclude       globs of which none may match; one that matches a folder leaves all of it out.
    name          the template of a result's name, None for the source's own.
    devices       the devices that share the work; "all" is every CUDA device.
    retry_failed  try the pictures again that failed before.
    """

    inputs: tuple[str, ...]
    output: str | None = None
    upscale: UpscaleOptions = field(default_factory=UpscaleOptions)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    name: str | None = None
    devices: tuple[str, ...] = ("auto",)
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if not self.inputs or "" in self.inputs:
            raise OptionError("the name of an input is empty; give folders, files or globs")
        if STANDARD_STREAM in (*self.inputs, self.output):
            raise OptionError("standard input and output (-) carry one picture; use: esrt upscale -")
        if self.output == "":
            raise OptionError("-o is empty; name a folder")
        if self.name is not None:
            check_template(self.name)
            if "{scale}" in self.name and self.upscale.size.asks_side:
                raise OptionError(f"--name {self.name}: a size in px has no {{scale}}; use {{size}}")
        if len(set(self.devices)) != len(self.devices):
            raise OptionError(f"--device {','.join(self.devices)} names a device twice")
