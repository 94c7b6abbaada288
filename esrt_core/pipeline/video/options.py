"""VideoOptions, everything a user can choose about upscaling clips, and the search for clips in folders."""

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from esrt_core.engine.gpu import device_kind
from esrt_core.engine.options import EngineOptions, check_devices
from esrt_core.errors import OptionError
from esrt_core.media.extensions import VIDEO_EXTENSIONS
from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, ReadLimits
from esrt_core.media.video.codecs import CODECS, ENCODER_KINDS
from esrt_core.media.video.containers import CONTAINERS, SOUND_CODECS
from esrt_core.pipeline.image.names import check_template, filled
from esrt_core.pipeline.image.plan import names_folder
from esrt_core.pipeline.sizes import SizeRequest, decimal_text
from esrt_core.selection import check_strength

FALLBACK = ".mkv"  # the container of a result whose source's cannot be written
VFR_MODES = ("constant", "keep")
AUDIO_MODES = ("copy", *SOUND_CODECS, "none")
DEFAULT_FACTOR = Fraction(2)  # a clip has many frames, so that x4 must be requested
PREVIEW_SECONDS = Fraction(4)
_SEGMENT_RANGE = (Fraction(1, 2), Fraction(600))


@dataclass(frozen=True)
class VideoOptions:
    """Options of upscaling clips.

    output       a file, or a folder if it ends in a slash; None writes beside the clip.
    name         the template of a result's name; None for the clip's with the size added.
    devices      those of one kind that share the frames; "all" is every CUDA device. None for that of `engine`.
    max_pixels   the largest frame to read or write, in px.
    codec        of the result; None for the default of the container.
    encoder      "auto" uses software, which is reproducible, and hardware only if no software encoder exists.
    crf, preset  values of the encoder; None for visually lossless at a medium speed.
    pixels       ffmpeg's pixel format of the result; None for the nearest to the source's.
    vfr          "constant" repeats frames on an even grid, "keep" keeps the time of every frame.
    start, end   seconds from the start of the clip; None for its start and its end.
    segment      seconds of one segment, the most work that a power cut can cost.
    preview      make a few seconds, source and result side by side.
    restart      discard unfinished work that was begun with other options.
    drop         leave out streams that the container does not support.
    strength     as in pipeline.image.options.UpscaleOptions.
    audio        "copy" keeps the sound as it is, a codec converts it, "none" leaves it out.
    many         the clip is one of several or of a folder: if its container cannot be written, the result is Matroska.

    Raises: OptionError if a value is unknown or out of range.
    """

    size: SizeRequest = field(default_factory=SizeRequest)
    output: str | None = None
    model: str = "auto"
    engine: EngineOptions = field(default_factory=EngineOptions)
    codec: str | None = None
    encoder: str = "auto"
    crf: int | None = None
    preset: str | None = None
    pixels: str | None = None
    deinterlace: bool = False
    vfr: str = "constant"
    start: Fraction | None = None
    end: Fraction | None = None
    segment: Fraction = Fraction(10)
    preview: bool = False
    overwrite: bool = False
    restart: bool = False
    drop: bool = False
    audio: str = "copy"
    many: bool = False
    reuse: bool = True
    strength: float | None = None
    name: str | None = None
    devices: tuple[str, ...] | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __post_init__(self) -> None:
        check_strength(self.strength, self.model)
        _check_choice("--codec", self.codec, tuple(CODECS))
        _check_choice("--encoder", self.encoder, ENCODER_KINDS)
        _check_choice("--vfr", self.vfr, VFR_MODES)
        _check_choice("--audio", self.audio, AUDIO_MODES)
        if self.start is not None and self.start < 0:
            raise OptionError(f"--start must not be negative, not {decimal_text(self.start)} s")
        if self.end is not None and self.end <= (self.start or 0):
            raise OptionError("--end must lie after --start")
        least, most = _SEGMENT_RANGE
        if not least <= self.segment <= most:
            raise OptionError(f"--segment must be from {decimal_text(least)} to {most} s")
        if self.name is not None:
            check_template(self.name, self.request)
            if self.output is not None and not names_folder(self.output):
                raise OptionError(f"-o {self.output} names the result already; use a folder, ending in /, with --name")
        if self.devices is not None:
            check_devices(self.devices)
            if len({device_kind(device) for device in self.devices}) > 1:
                raise OptionError(f"--device {','.join(self.devices)}: the frames of a clip need devices of one kind")
        ReadLimits(self.max_pixels)
        if self.size.megapixels is not None:
            raise OptionError("--megapixels is for images; use --scale, --height, --width or --longest")

    @property
    def request(self) -> SizeRequest:
        """The requested size, or twice the sides."""
        return SizeRequest(factor=DEFAULT_FACTOR) if self.size == SizeRequest() else self.size


def _check_choice(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise OptionError(f"{name} {value} is unknown; use one of {', '.join(choices)}")


# Read but not written; of a folder's other files, still pictures, sound, subtitles and so on are left out silently.
_READ_ONLY = VIDEO_EXTENSIONS - CONTAINERS.keys()
_PICTURES = {".gif": b"GIF8", ".apng": b"acTL", ".png": b"acTL", ".webp": b"ANIM"}  # and what tells an animation
_HEAD = 4096  # bytes; metadata may precede the mark, seldom more
_OTHER_FILES = frozenset((
    ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".srt", ".ass", ".ssa", ".sub", ".idx", ".vtt",
    ".sup", ".txt", ".nfo", ".xml", ".json", ".md", ".ini", ".db", ".log", ".mp3", ".flac", ".wav", ".m4a",
    ".aac", ".ac3", ".ogg", ".opus", ".wma", ".zip", ".rar", ".7z", ".pdf", ".html", ".url", ".torrent",
    ".part", ".thm", ".cpi", ".mpl", ".bup", ".ifo", ".py", ".sh", ".exe",
))  # fmt: skip


def find_clips(inputs: Sequence[str], options: VideoOptions) -> list[Path]:
    """Return the clips among files and folders, those of a folder sorted by name.

    Results of an earlier run beside their sources are left out.

    Raises: OptionError if a folder contains no clip, or several clips would be written to one file.
    """
    clips: list[Path] = []
    for name in inputs:
        path = Path(name)
        clips += _clips_of(path, options) if path.is_dir() else [path]
    clips = list(dict.fromkeys(clips))
    if len(clips) > 1 and options.output is not None and not names_folder(options.output):
        raise OptionError(
            f"-o {options.output} names one file but there are {len(clips)} inputs; end it with / for a folder"
        )
    return clips


def is_many(inputs: Sequence[str], options: VideoOptions) -> bool:
    """Return whether the results go to a folder, or the clips come from one."""
    to_folder = options.output is not None and names_folder(options.output)
    return to_folder or any(Path(name).is_dir() for name in inputs)


def skipped_files(inputs: Sequence[str]) -> list[str]:
    """Return what was left out of the folders among the inputs and may be a clip, in one line each."""
    folders = [Path(name) for name in inputs if Path(name).is_dir()]
    known = CONTAINERS.keys() | _READ_ONLY | _OTHER_FILES | _PICTURES.keys() | {""}
    files = [path for folder in folders for path in folder.iterdir() if path.is_file() and path.name[:1] != "."]
    counts = Counter(path.suffix.lower() for path in files)
    unknown = [f"{count} {suffix}" for suffix, count in sorted(counts.items()) if suffix not in known]
    lines = [f"skipped, because their suffixes are not those of clips: {', '.join(unknown)}"] if unknown else []
    return lines + [f"skipped animated pictures; use: {_advice(folder)}" for folder in folders if _animations(folder)]


def _animations(folder: Path) -> list[Path]:
    """Return the animated pictures in a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES and _is_animated(path))


def _is_animated(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _PICTURES[path.suffix.lower()] in file.read(_HEAD)
    except OSError:  # a folder, or no permission: nothing to advise
        return False


def _advice(folder: Path) -> str:
    suffixes = sorted({path.suffix for path in _animations(folder)})
    return "esrt upscale " + " ".join(f"{folder}/*{suffix}" for suffix in suffixes)


def _clips_of(folder: Path, options: VideoOptions) -> Iterable[Path]:
    known = CONTAINERS.keys() | _READ_ONLY
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in known]
    names = {path.name for path in files}
    ending = f"_{options.request.suffix(())}"
    templated = {named_result(path, path.suffix, options) for path in files} - {None}
    results = {path.name for path in files if path.name in templated or _is_result(path, ending, names)}
    clips = [path for path in files if not path.name.startswith(".") and path.name not in results]
    if not clips:
        pictures = f"; for its animated pictures use: {_advice(folder)}" if _animations(folder) else ""
        raise OptionError(f"{folder} contains no clips; expected files such as .mp4, .mkv or .mov{pictures}")
    return clips


def _is_result(path: Path, ending: str, names: set[str]) -> bool:
    """Return whether a file is the result of another file in the folder."""
    stem = path.stem.removesuffix("_preview")
    if not stem.endswith(ending):
        return False
    source = stem.removesuffix(ending)
    if f"{source}{path.suffix}" in names:
        return True
    converted = {name for name in names if Path(name).suffix.lower() in _READ_ONLY}
    return path.suffix == FALLBACK and (source in converted or source in {Path(name).stem for name in converted})


def named_result(path: Path, suffix: str, options: VideoOptions) -> str | None:
    """Return the name of a clip's result by the template of the options, None without one."""
    if options.name is None:
        return None
    size = options.request.suffix(())
    scale = "" if options.request.is_in_pixels else size.removeprefix("x")
    values = {"stem": path.stem, "model": Path(options.model).stem, "scale": scale, "size": size, "ext": suffix[1:]}
    name = filled(options.name, values)
    stem = name.removesuffix(suffix) or "_"
    return f"{stem}_preview{suffix}" if options.preview else f"{stem}{suffix}"


def result_name(path: Path, ending: str, many: bool) -> str:
    """Return the name of a clip's result; if its container cannot be written, one of many becomes Matroska.

    Then the whole name is kept if another clip in the folder differs only in its suffix.
    """
    if not many or path.suffix.lower() in CONTAINERS:
        return f"{path.stem}_{ending}{path.suffix}"
    known = CONTAINERS.keys() | _READ_ONLY
    alike = [each for each in path.parent.glob(f"{glob.escape(path.stem)}.*") if each.suffix.lower() in known]
    return f"{path.name if len(alike) > 1 else path.stem}_{ending}{FALLBACK}"
