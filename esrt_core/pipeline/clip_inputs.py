"""Which clips are meant: files as they are named, folders by what lies in them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from esrt_core.errors import OptionError
from esrt_core.media.containers import CONTAINERS
from esrt_core.pipeline.targets import names_folder
from esrt_core.pipeline.video_options import VideoOptions

_READ_TOO = {".avi", ".wmv", ".asf", ".mpg", ".mpeg", ".vob", ".ogv", ".mxf", ".dv", ".y4m", ".gif"}


def find_clips(inputs: Sequence[str], options: VideoOptions) -> list[Path]:
    """Return the clips that are meant, those of a folder in the order of their names.

    Results of an earlier run beside their sources are left out. Raise OptionError where a folder holds no clip, or
    several clips would go to one file.
    """
    clips: list[Path] = []
    for name in inputs:
        path = Path(name)
        clips += _clips_of(path, options) if path.is_dir() else [path]
    clips = list(dict.fromkeys(clips))
    if len(clips) > 1 and options.output is not None and not names_folder(options.output):
        raise OptionError(f"-o {options.output} is one place for {len(clips)} clips; give a folder, with a slash")
    return clips


def _clips_of(folder: Path, options: VideoOptions) -> Iterable[Path]:
    known = CONTAINERS.keys() | _READ_TOO
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in known]
    names = {path.name for path in files}
    ending = f"_{options.request.suffix(())}"
    clips = [path for path in files if not path.name.startswith(".") and not _is_result(path, ending, names)]
    if not clips:
        raise OptionError(f"{folder} holds no clip; expected files such as .mp4, .mkv or .mov")
    return clips


def _is_result(path: Path, ending: str, names: set[str]) -> bool:
    """Say whether a file is the result of another one in the folder."""
    stem = path.stem.removesuffix("_preview")
    return stem.endswith(ending) and f"{stem.removesuffix(ending)}{path.suffix}" in names
