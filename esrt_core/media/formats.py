"""The still picture formats: what each can hold, as data."""

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Format:
    """Describe one format.

    name        the value of `--format`.          label       what people call it.
    pillow      Pillow's names for it.            extensions  the first one is used for new files.
    max_side    the largest side in px that the encoder takes, measured, or None.
    extra       the optional package that reads and writes it, or None.
    """

    name: str
    label: str
    pillow: tuple[str, ...]
    extensions: tuple[str, ...]
    writable: bool = False
    gray: bool = True
    alpha: bool = False
    deep: bool = False
    floating: bool = False
    animation: bool = False
    pages: bool = False
    icc: bool = False
    exif: bool = False
    xmp: bool = False
    dpi: bool = False
    lossy: bool = False
    max_side: int | None = None
    extra: str | None = None


PNG = Format(
    "png",
    "PNG",
    ("PNG",),
    (".png", ".apng"),
    writable=True,
    alpha=True,
    deep=True,
    animation=True,
    icc=True,
    exif=True,
    xmp=True,
    dpi=True,
    max_side=1_000_000,
)
JPEG = Format(
    "jpeg",
    "JPEG",
    ("JPEG", "MPO"),
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    writable=True,
    icc=True,
    exif=True,
    xmp=True,
    dpi=True,
    lossy=True,
    max_side=65_500,
)
FORMATS: tuple[Format, ...] = (PNG, JPEG)
FALLBACK = PNG

_BY_EXTENSION = {extension: entry for entry in FORMATS for extension in entry.extensions}
_BY_NAME = {entry.name: entry for entry in FORMATS} | {"jpg": JPEG}
_BY_PILLOW = {name: entry for entry in FORMATS for name in entry.pillow}


def format_for_path(path: PurePath) -> Format | None:
    """Return the format that a file name's extension stands for, or None."""
    return _BY_EXTENSION.get(path.suffix.lower())


def format_named(name: str) -> Format | None:
    """Return the format of a `--format` value, or None."""
    return _BY_NAME.get(name.lower())


def format_of_pillow(name: str) -> Format:
    """Return the format that Pillow knows by `name`."""
    return _BY_PILLOW[name]


def written_as(source: Format) -> Format:
    """Return the format in which a picture of format `source` is written: its own, or PNG."""
    return source if source.writable else FALLBACK
