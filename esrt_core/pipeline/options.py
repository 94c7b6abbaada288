"""UpscaleOptions: everything a user can choose about turning one picture into a larger one."""

from dataclasses import dataclass, field

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import OptionError
from esrt_core.media.formats import FORMATS, Format, format_named
from esrt_core.media.options import EncodeOptions
from esrt_core.media.picture import ReadLimits
from esrt_core.pipeline.sizes import SizeRequest

STANDARD_STREAM = "-"


@dataclass(frozen=True)
class UpscaleOptions:
    """Say what is wanted of every picture.

    size       how large the result becomes.
    output     a file; a folder, where it ends in a slash; "-" for standard output; None for beside the input.
    format     a format's name, or None: by the output's extension, else as the source.
    model      a bundled kind ("auto", "clean", "photo", "drawing") or the path of a weights file.
    overwrite  replace results that exist (an input is never replaced).
    compare    write a sheet of crops beside the result.
    """

    size: SizeRequest = field(default_factory=SizeRequest)
    output: str | None = None
    format: str | None = None
    model: str = "auto"
    engine: EngineOptions = field(default_factory=EngineOptions)
    limits: ReadLimits = field(default_factory=ReadLimits)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    overwrite: bool = False
    compare: bool = False

    def __post_init__(self) -> None:
        if self.output == "":
            raise OptionError("-o is empty; name a file, a folder with a slash at its end, or -")
        if not self.model:
            raise OptionError("--model is empty; name a model (auto, clean) or a weights file")
        if self.format is not None:
            writable_format(self.format)
        if self.compare and self.output == STANDARD_STREAM:
            raise OptionError("--compare writes its sheet beside the result; give -o a file or a folder")


def writable_format(name: str) -> Format:
    """Return the format of a `--format` value; raise OptionError, naming those there are, where it is no use."""
    found = format_named(name)
    if found is None or not found.writable:
        problem = "is read but not written" if found else "is not a format"
        names = ", ".join(entry.name for entry in FORMATS if entry.writable)
        raise OptionError(f"--format {name} {problem}; choose one of {names}")
    return found
