"""A colour in the words that a user writes."""

from PIL import ImageColor

from esrt_core.errors import OptionError


def parse_colour(text: str) -> tuple[int, int, int]:
    """Return RGB (0..255) of a CSS name, #rgb, #rrggbb, rgb(...) or r,g,b. Raise OptionError for anything else."""
    parts = text.split(",")
    if len(parts) == 3 and all(part.strip().isdecimal() and int(part) <= 255 for part in parts):
        red, green, blue = (int(part) for part in parts)
        return red, green, blue
    try:
        return ImageColor.getrgb(text.strip())[:3]
    except ValueError as error:
        raise OptionError(f"--background {text} is not a colour; give a name (white), #rrggbb or r,g,b") from error
