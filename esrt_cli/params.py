"""Options that several commands share, and the parsers of what users type: numbers, times and colors.

Values that only the core can judge stay text or plain numbers here.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from esrt_core.errors import OptionError

if TYPE_CHECKING:
    from fractions import Fraction

    from esrt_core.pipeline.sizes import SizeRequest


def parse_number(text: str) -> Decimal:
    """Return a decimal number exactly as written.

    Raises: typer.BadParameter (exit code 2) if the text is not a number.
    """
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is not a number") from error


def _number(names: tuple[str, ...], text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(*names, parser=parse_number, metavar="NUMBER", help=text)
    return option


ScaleOpt = Annotated[
    Decimal | None,
    _number(("-s", "--scale"), "Factor for both sides, 1 (clean up) to 16. Default 4, or that of a --model FILE."),
]
WidthOpt = Annotated[
    int | None, typer.Option(metavar="PX", help="Width of the result; with --height, fit inside both.")
]
HeightOpt = Annotated[int | None, typer.Option(metavar="PX", help="Height of the result.")]
LongestOpt = Annotated[int | None, typer.Option(metavar="PX", help="Longer side of the result.")]
MegapixelsOpt = Annotated[Decimal | None, _number(("--megapixels",), "Size of the result in million pixels.")]

ModelOpt = Annotated[
    str, typer.Option(envvar="ESRT_MODEL", metavar="NAME|FILE|URL", help="auto, clean, photo, drawing, or your own.")
]
DeviceOpt = Annotated[str, typer.Option(envvar="ESRT_DEVICE", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
DevicesOpt = Annotated[
    str,
    typer.Option(
        "--device",
        envvar="ESRT_DEVICE",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:N or mps; several share the work: cuda:0,cuda:1, or all.",
    ),
]
ThreadsOpt = Annotated[int | None, typer.Option(envvar="ESRT_THREADS", metavar="N", help="CPU threads.")]
TileOpt = Annotated[
    int | None,
    typer.Option(
        envvar="ESRT_TILE", metavar="PX", help="Side of a tile; 0 is the whole picture at once, for small ones."
    ),
]
PrecisionOpt = Annotated[str, typer.Option(envvar="ESRT_PRECISION", metavar="NAME", help="auto, fp32, fp16 or bf16.")]
StrengthOpt = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        help="How far damage is removed, 0 to 1: 0 keeps grain and blocks, 1 removes them. Between, twice the time.",
    ),
]
TtaOpt = Annotated[bool, typer.Option("--tta", help="Average the eight flips and rotations; 8 times slower.")]

NameOpt = Annotated[
    str | None,
    typer.Option(metavar="TEMPLATE", help="Names of results, such as '{stem}_{model}_x{scale}.{ext}'; also {size}."),
]
FormatOpt = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="NAME", help="Format of the result: png, jpeg, webp ... Default: by -o, else as the input."
    ),
]
QualityOpt = Annotated[
    int | None, typer.Option(envvar="ESRT_QUALITY", metavar="N", help="1 to 100, for formats that lose detail.")
]
BackgroundOpt = Annotated[
    str,
    typer.Option(
        envvar="ESRT_BACKGROUND",
        metavar="COLOR",
        help="What shows through in a format without transparency: white, '#ff8800' ...",
    ),
]
DpiOpt = Annotated[
    int | None, typer.Option(metavar="N", help="Resolution tag of the result in px per inch. Default: the input's.")
]
StripMetadataOpt = Annotated[bool, typer.Option("--strip-metadata", help="Keep no metadata but the color profile.")]
MaxPixelsOpt = Annotated[
    int | None, typer.Option(envvar="ESRT_MAX_PIXELS", metavar="N", help="Largest picture to read or write, in pixels.")
]
AllowTruncatedOpt = Annotated[
    bool, typer.Option("--allow-truncated", help="Use what can be read of a truncated picture.")
]
OverwriteOpt = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]
CompareOpt = Annotated[
    bool,
    typer.Option("--compare", help="Also write a sheet of the crops where bicubic and ESRT differ most."),
]

JsonOpt = Annotated[bool, typer.Option("--json", help="Print results as JSON.")]
ProgressOpt = Annotated[
    Literal["bar", "json"],
    typer.Option(metavar="bar|json", help="json: print plan, progress and results as JSON events on standard error."),
]
QuietOpt = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
VerboseOpt = Annotated[bool, typer.Option("-v", "--verbose", help="Print more.")]
DryRunOpt = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]


_AMOUNT = r"(\d+(?:\.\d{1,9})?)"
_TIMES = (
    re.compile(rf"(?:(?:(\d+):)?(\d{{1,2}}):)?{_AMOUNT}"),  # 90, 1:30, 0:01:30.5
    re.compile(rf"(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s)?(?<=[hms])"),  # 90s, 30m, 1h30m
)


def parse_time(text: str, option: str) -> "Fraction":
    """Return the exact seconds of 90, 90s, 30m, 1h30m, 1:30 or 0:01:30.5.

    Raises: OptionError if the text is none of these; the message names `option`.
    """
    from fractions import Fraction

    found = next(filter(None, (pattern.fullmatch(text.strip()) for pattern in _TIMES)), None)
    if found is None:
        raise OptionError(f"{option} {text} is not a valid time; write 90, 90s, 30m, 1h30m, 1:30 or 0:01:30.5")
    hours, minutes, seconds = (Fraction(group or 0) for group in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_color(text: str) -> tuple[int, int, int]:
    """Return the RGB (0..255) of a CSS name, #rgb, #rrggbb, rgb(...) or r,g,b.

    Raises: OptionError if the text is none of these.
    """
    from PIL import ImageColor

    parts = text.split(",")
    if len(parts) == 3 and all(part.strip().isdecimal() and int(part) <= 255 for part in parts):
        red, green, blue = (int(part) for part in parts)
        return red, green, blue
    try:
        return ImageColor.getrgb(text.strip())[:3]
    except ValueError as error:
        raise OptionError(f"--background {text} is not a color; use a name (white), #rrggbb or r,g,b") from error


def size_request(
    scale: Decimal | None, width: int | None, height: int | None, longest: int | None, megapixels: Decimal | None
) -> "SizeRequest":
    """Build a SizeRequest from the size options."""
    from esrt_core.pipeline.sizes import SizeRequest, exact

    factor = None if scale is None else exact(scale, "--scale")
    area = None if megapixels is None else exact(megapixels, "--megapixels")
    return SizeRequest(factor, width, height, longest, area)
