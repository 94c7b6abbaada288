"""The options of upscaling one picture, validated once."""

from dataclasses import dataclass, field

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import OptionError
from esrt_core.media.image.formats import FORMATS, Format, format_named
from esrt_core.media.image.picture import EncodeOptions, ReadLimits
from esrt_core.pipeline.image.names import check_template
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.selection import check_strength

STANDARD_STREAM = "-"


@dataclass(frozen=True)
class UpscaleOptions:
    """Hold the options that apply to every picture.

    size       the requested size of the result.
    output     a file; a folder if it ends in a slash; "-" for standard output; None for beside the input.
    name       the template of a result's name; None for the source's with the size added.
    format     the name of a format, or None for that of the output's extension, else that of the source.
    model      a bundled model ("auto", "clean", "photo", "drawing") or the path of a weights file.
    strength   0 to 1, how far damage is removed: a blend of the results of the clean and the photo weights, which takes
               twice the time. None leaves the choice of weights to `model`.
    overwrite  replace existing results (an input is never replaced).
    compare    write a sheet of crops beside the result.

    Raises: OptionError if a value is empty, the format cannot be written, or options contradict each other.
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
    strength: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.output == "":
            raise OptionError("-o needs a value: a file, a folder ending in /, or -")
        if self.name is not None:
            check_template(self.name, self.size)
        if not self.model:
            raise OptionError("--model needs a value: auto, clean, photo or a weights file")
        check_strength(self.strength, self.model)
        if self.format is not None:
            writable_format(self.format)
        if self.compare and self.output == STANDARD_STREAM:
            raise OptionError("--compare writes its sheet beside the result; use -o with a file or a folder")


def writable_format(name: str) -> Format:
    """Return the format of a `--format` value.

    Raises: OptionError, listing the valid names, if the format is unknown or cannot be written.
    """
    found = format_named(name)
    if found is None or not found.writable:
        problem = "can be read but not written" if found else "is not a known format"
        names = ", ".join(entry.name for entry in FORMATS if entry.writable)
        raise OptionError(f"--format {name} {problem}; choose one of {names}")
    return found
