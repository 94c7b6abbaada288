"""ExportOptions: what is written, and where. No torch."""

from dataclasses import dataclass
from pathlib import Path

from esrt_core.engine.options import MIN_TILE
from esrt_core.errors import OptionError
from esrt_core.files import display_name

MAX_TILE = 512  # px; onnxruntime, which keeps the attention's matrices, needs 46 kB for each px: 12 GB


@dataclass(frozen=True)
class ExportFormat:
    """Describe a format: how its files are called, which packages it needs, whether it holds a program or weights."""

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
    """Choose what is exported.

    target  the file; its ending has to be one of the format's.
    format  "onnx", "pt2", "safetensors", "authors" (a .pth file), or None to go by the ending.
    model   a name, a file or an address of weights; `scale` as in resolve().
    tile    None for inputs of any size, else the side in px of the only input that the program takes.
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
            raise OptionError(f"{display_name(self.target)}: a file for --format {chosen.name} ends in {expected}")
        if self.tile is not None and not chosen.is_program:
            raise OptionError(f"--tile is for onnx and pt2: a file for --format {chosen.name} holds weights alone")
        if self.tile is not None and not MIN_TILE <= self.tile <= MAX_TILE:
            raise OptionError(f"--tile must be from {MIN_TILE} to {MAX_TILE} px, not {self.tile}")

    @property
    def chosen(self) -> ExportFormat:
        """The format that is written; raise OptionError when neither `format` nor the target's ending means one."""
        if self.format is None:
            suffix = self.target.suffix.lower()
            found = next((each for each in FORMATS if suffix in each.suffixes), None)
            problem = f"{display_name(self.target)} does not say its format; give --format"
        else:
            found = next((each for each in FORMATS if each.name == self.format), None)
            problem = f"unknown format '{self.format}': expected"
        if found is None:
            raise OptionError(f"{problem} {', '.join(each.name for each in FORMATS)}")
        return found
