"""Where a result goes and in which format, decided before any work."""

import os
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import OptionError
from esrt_core.files import display_name
from esrt_core.media.formats import Format, format_for_path, written_as
from esrt_core.pipeline.inputs import Input
from esrt_core.pipeline.options import STANDARD_STREAM, UpscaleOptions, writable_format

_SLASHES = tuple({"/", os.sep})


@dataclass(frozen=True)
class Target:
    """Hold a result's place, None for standard output, its format, and what the user should know of the choice."""

    path: Path | None
    format: Format
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What messages call it."""
        return "standard output" if self.path is None else display_name(self.path)

    @property
    def sheet(self) -> Path | None:
        """Where the comparison goes: beside the result."""
        return None if self.path is None else self.path.with_name(f"{self.path.stem}_compare.png")


def decide_target(picture: Input, source: Format, suffix: str, options: UpscaleOptions) -> Target:
    """Return where the result of one picture goes.

    `source` is the picture's own format and `suffix` what the new name says of its size ("x4"). Raise OptionError for
    an output whose extension means no format, or another one than `--format`.
    """
    output = options.output
    if output is None and picture.path is None:
        output = STANDARD_STREAM
    if output is not None and output != STANDARD_STREAM and not names_folder(output):
        return Target(Path(output), _format_of_file(Path(output), options.format))
    chosen = writable_format(options.format) if options.format else written_as(source)
    changed = options.format is None and chosen != source
    notes = (f"{source.label} is read but not written: the result is {chosen.label}",) if changed else ()
    if output == STANDARD_STREAM:
        return Target(None, chosen, notes)
    place = picture.path or Path("stdin")
    folder = place.parent if output is None else Path(output)
    return Target(folder / f"{place.stem}_{suffix}{_extension(place, chosen)}", chosen, notes)


def names_folder(output: str) -> bool:
    """Tell whether an -o value means a folder: it ends in a slash."""
    return output.endswith(_SLASHES) or output in (".", "..")


def _format_of_file(path: Path, asked: str | None) -> Format:
    if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise OptionError(
            f"{display_name(path)} is a folder; name a file, or end the path with a slash to write into it"
        )
    named = format_for_path(path)
    if asked is not None:
        wanted = writable_format(asked)
        if named is not None and named != wanted:
            raise OptionError(
                f"{display_name(path)} is named as {named.label}, --format says {wanted.label}; change one of them"
            )
        return wanted
    if named is None:
        problem = f"'{path.suffix}' is no format that can be written" if path.suffix else "the name has no extension"
        raise OptionError(f"{display_name(path)}: {problem}; use one such as .png or .jpg, or give --format")
    return writable_format(named.name)


def _extension(source: Path, chosen: Format) -> str:
    """Keep the source's own spelling of the extension where it names the format that is written."""
    return source.suffix if format_for_path(source) == chosen else chosen.extensions[0]
