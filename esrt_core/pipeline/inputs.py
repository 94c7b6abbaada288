"""What the user names as input: a picture's file, or the bytes of one."""

import os
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import OptionError
from esrt_core.media.image import probe
from esrt_core.media.opening import source_name
from esrt_core.media.picture import ImageInfo, ReadLimits, Source


@dataclass(frozen=True)
class Input:
    """Name one picture: its file's path, the bytes that came through standard input, or one that lies elsewhere."""

    source: Source

    @property
    def name(self) -> str:
        """What messages call it."""
        return source_name(self.source)

    @property
    def path(self) -> Path | None:
        """Its file, where it has one."""
        return self.source if isinstance(self.source, Path) else None


def examine(picture: Input, limits: ReadLimits) -> ImageInfo:
    """Describe a picture by its headers. Raise OptionError for a folder, MediaError for what cannot be read."""
    if picture.path is not None and os.path.isdir(picture.path):  # noqa: PTH112 (Path.is_dir raises for long names)
        raise OptionError(f"{picture.name} is a folder; use: esrt batch {picture.name}")
    return probe(picture.source, limits)
