"""The options of upscaling folders, and the names of results: the source's own, or one from a template."""

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
    """Raise OptionError unless a --name is a template of a file name."""
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise OptionError(f"--name {template}: {error}; use {known}") from error
    for _, name, specification, conversion in parts:
        if name is not None and (name not in FIELDS or specification or conversion):
            raise OptionError(f"--name {template}: unknown field {{{name}}}; use {known}")
    if any(separator in template for separator in "/\\"):
        raise OptionError(f"--name {template} contains a slash; --name is for the file name, -o for the folder")
    if not any(name == "stem" for _, name, _, _ in parts):
        raise OptionError(f"--name {template} gives every picture the same name; include {{stem}}")


def named_by(template: str, values: Mapping[str, str], target: Format) -> str:
    """Return a checked template filled in: a plain file name with an extension of the target format."""
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
    """Return the target of a picture in `folder`, named by a template or like its source.

    `values` fills {model} and {scale}; the other arguments are those of decide_target().
    """
    default = decide_target(picture, source, suffix, replace(options, output=None))
    if picture.path is None or default.path is None:
        return default
    stem, extension = picture.path.stem, default.path.suffix
    if template is None:
        return replace(default, path=folder / f"{stem}{extension}")
    filled = named_by(template, {**values, "stem": stem, "size": suffix, "ext": extension[1:]}, default.format)
    return replace(default, path=folder / filled)


@dataclass(frozen=True)
class FolderOptions:
    """Hold the options of upscaling folders.

    inputs        folders, files and globs.
    output        the folder of the results; None for `<dir>_x4` beside a folder and for beside a single file.
    upscale       the options of every picture; its `output` is not used.
    include       globs; if there are any, a picture's path or name must match one of them.
    exclude       globs of pictures and of whole folders to leave out.
    name          the template of a result's name, None for the source's own.
    devices       the devices that share the work; "all" is every CUDA device.
    retry_failed  retry pictures that failed in an earlier run.

    Raises: OptionError if a value is empty or invalid.
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
            raise OptionError("an input is empty; name folders, files or globs")
        if STANDARD_STREAM in (*self.inputs, self.output):
            raise OptionError("standard input and output (-) hold a single picture; use: esrt upscale -")
        if self.output == "":
            raise OptionError("-o needs a value: a folder")
        if self.name is not None:
            check_template(self.name)
            if "{scale}" in self.name and self.upscale.size.is_in_pixels:
                raise OptionError(f"--name {self.name}: a size in px has no single {{scale}}; use {{size}}")
        if len(set(self.devices)) != len(self.devices):
            raise OptionError(f"--device {','.join(self.devices)} names a device twice")
