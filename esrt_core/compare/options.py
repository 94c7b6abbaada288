"""ComparisonOptions: which models are compared on which picture, and where the result goes. No torch."""

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
    """Choose what is compared.

    models  names, files or addresses of weights; bicubic is always among the candidates.
    scale   2, 3 or 4, or None for what the models enlarge by, 4 for names.
    target  a .png for the sheet, a .html for the page, or None for NAME_xS_compare.png beside the picture.
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
            raise OptionError("a model's name is empty; give names or files with commas between them")
        if len(set(self.models)) < len(self.models):
            raise OptionError(f"a model is named twice in {','.join(self.models)}")
        if self.target is not None and self.target.suffix.lower() not in PAGE_SUFFIXES + SHEET_SUFFIXES:
            raise OptionError(f"{display_name(self.target)}: a comparison is a .png, or a .html with a slider")

    def target_for(self, scale: int) -> Path:
        """Return the file that is written."""
        return self.target or self.picture.with_name(f"{self.picture.stem}_x{scale}_compare.png")
