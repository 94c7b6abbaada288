"""How a picture is to be written."""

from dataclasses import dataclass

from esrt_core.errors import OptionError

WHITE = (255, 255, 255)


@dataclass(frozen=True)
class EncodeOptions:
    """Say how a picture is written.

    quality         1 to 100 for lossy formats; None takes the format's default.
    background      the RGB (0..255) under a transparent picture in a format without alpha.
    strip_metadata  drop EXIF, XMP and dpi; the ICC profile stays.
    lossless        True or False for formats that have both; None takes the format's default. Pass the `lossless` of
                    the source's ImageInfo to keep what it was.
    """

    quality: int | None = None
    background: tuple[int, int, int] = WHITE
    strip_metadata: bool = False
    lossless: bool | None = None

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"--quality is {self.quality}; give a number from 1 to 100")
        if len(self.background) != 3 or not all(0 <= value <= 255 for value in self.background):
            raise OptionError(f"--background is {self.background}; give three numbers from 0 to 255")
