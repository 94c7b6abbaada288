"""The options of a comparison, without torch."""

from dataclasses import dataclass, field
from pathlib import Path

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import OptionError
from esrt_core.files import display_name
from esrt_core.media.image.picture import ReadLimits

PAGE_SUFFIXES = (".html", ".htm")
SHEET_SUFFIXES = (".png",)


@dataclass(frozen=True)
class ComparisonOptions:
    """Hold the options of a comparison.

    models  names, files or addresses of weights; bicubic is always among the candidates.
    scale   2, 3 or 4, or None for the models' own scale (4 for names).
    target  a .png for the sheet, a .html for the page, or None for NAME_xS_compare.png beside the picture.

    Raises: OptionError if a model is empty or named twice, or the target is neither .png nor .html.
    """

    picture: Path
    models: tuple[str, ...] = ("auto",)
    scale: int | None = None
    target: Path | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)
    limits: ReadLimits = field(default_factory=ReadLimits)
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.models or "" in self.models:
            raise OptionError("the name of a model is empty; separate names or files by commas")
        if len(set(self.models)) < len(self.models):
            raise OptionError(f"a model is named twice in {','.join(self.models)}")
        if self.target is not None and self.target.suffix.lower() not in PAGE_SUFFIXES + SHEET_SUFFIXES:
            raise OptionError(f"{display_name(self.target)}: use .png, or .html for a page with a slider")

    def target_for(self, scale: int) -> Path:
        """Return the path of the file to write."""
        return self.target or self.picture.with_name(f"{self.picture.stem}_x{scale}_compare.png")
