"""What encoders refuse, said in a sentence."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from esrt_core.errors import MediaError
from esrt_core.media.formats import Format

_ENCODER_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    SyntaxError,
    LookupError,
    struct.error,
)


def check_fits(target: Format, width: int, height: int) -> None:
    """Refuse a size in px that the format's encoder does not take. Raises MediaError."""
    side, area = target.max_side, target.max_pixels
    if side is not None and max(width, height) > side:
        limit = f"{side:,} px a side"
    elif area is not None and width * height > area:
        limit = f"{area:,} px in all"
    else:
        return
    raise MediaError(f"{width} x {height} px is more than {target.label} holds ({limit}); use --format png or tiff")


@contextmanager
def encoding(target: Format) -> Iterator[None]:
    """Run an encoder: what it throws becomes MediaError, except an OSError of the file system, which passes."""
    try:
        yield
    except _ENCODER_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise MediaError(f"the result cannot be written as {target.label} ({error}); use --format png") from error
