"""The options of an export and its formats, without torch."""

from dataclasses import dataclass
from pathlib import Path

from esrt_core.engine.options import MIN_TILE
from esrt_core.errors import OptionError
from esrt_core.files import display_name

MAX_TILE = 512  # px; onnxruntime, which stores the attention's matrices, needs 46 kB per px: 12 GB


@dataclass(frozen=True)
class ExportFormat:
    """Describe a format: its suffixes, whether it is a program or weights, and the packages it needs."""

    name: str
    suffixes: tuple[str, ...]
    is_program: bool
    packages: tuple[str, ...] = ()


FORMATS = (
    ExportFormat("onnx", (".onnx",), True, ("onnx", "onnxscript", "onnxruntime")),
    ExportFormat("pt2", (".pt2",), True),
    ExportFormat("safetensors", (".safetensors",), False),
    ExportFormat("authors", (".pth", ".pt"), False),
)


@dataclass(frozen=True)
class ExportOptions:
    """Hold the options of an export.

    target  the file, with a suffix of the format.
    format  "onnx", "pt2", "safetensors", "authors" (a .pth file), or None to choose by the suffix.
    model   a name, a file or an address of weights; `scale` as in resolve().
    tile    None for inputs of any size, else the side in px of the only input that the program accepts.

    Raises: OptionError if the target, the format and the tile do not go together.
    """

    target: Path
    format: str | None = None
    model: str = "auto"
    scale: int | None = None
    tile: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        chosen = self.chosen
        if self.target.suffix.lower() not in chosen.suffixes:
            expected = " or ".join(chosen.suffixes)
            raise OptionError(f"{display_name(self.target)}: --format {chosen.name} needs a file ending in {expected}")
        if self.tile is not None and not chosen.is_program:
            raise OptionError(f"--tile is only for onnx and pt2: --format {chosen.name} writes only weights")
        if self.tile is not None and not MIN_TILE <= self.tile <= MAX_TILE:
            raise OptionError(f"--tile must be from {MIN_TILE} to {MAX_TILE} px, not {self.tile}")

    @property
    def chosen(self) -> ExportFormat:
        """The format to write.

        Raises: OptionError if neither `format` nor the target's suffix names one.
        """
        if self.format is None:
            suffix = self.target.suffix.lower()
            found = next((each for each in FORMATS if suffix in each.suffixes), None)
            problem = f"cannot tell the format from {display_name(self.target)}; choose --format"
        else:
            found = next((each for each in FORMATS if each.name == self.format), None)
            problem = f"unknown format '{self.format}'; choose one of"
        if found is None:
            raise OptionError(f"{problem} {', '.join(each.name for each in FORMATS)}")
        return found
