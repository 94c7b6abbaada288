"""The options of upscaling folders, and the names of results: the source's own, or one from a template."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from esrt_core.engine.options import check_devices
from esrt_core.errors import OptionError
from esrt_core.media.image.formats import Format
from esrt_core.pipeline.image.names import check_template
from esrt_core.pipeline.image.options import STANDARD_STREAM, UpscaleOptions
from esrt_core.pipeline.image.plan import Input, Target, decide_target, named_by


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
            check_template(self.name, self.upscale.size)
        check_devices(self.devices)
