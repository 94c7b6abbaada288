"""FolderOptions: what a user can choose about many pictures, beyond what can be chosen for one."""

from dataclasses import dataclass, field

from esrt_core.errors import OptionError
from esrt_core.pipeline.folder_names import check_template
from esrt_core.pipeline.options import STANDARD_STREAM, UpscaleOptions


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
