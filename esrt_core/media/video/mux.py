"""Mux the encoded segments with the other streams and the metadata of the source, and make previews.

Packets are copied, not encoded again; only a preview, which shows the source enlarged by bicubic interpolation beside
the result, is encoded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from esrt_core.media.video.clip import UNSPECIFIED, ClipInfo, ColorTags, Mastering, OtherStream
from esrt_core.media.video.containers import Container, subtitle_codec
from esrt_core.media.video.ffmpeg import LOCAL_ONLY, file_url, has_option, open_clip, run
from esrt_core.media.video.writer import REPEATABLE, EncodeSettings

_SUFFIXES = {"png": ".png", "mjpeg": ".jpg"}


def write_covers(source: Path, covers: Sequence[OtherStream], folder: Path) -> list[Path]:
    """Write the PNG and JPEG cover art of a clip, unchanged, into a folder; return the paths."""
    wanted = [stream for stream in covers if stream.codec in _SUFFIXES]
    return [_write(source, stream, folder / _name(number, stream)) for number, stream in enumerate(wanted)]


def _name(number: int, stream: OtherStream) -> str:
    """Return the file name; players look for the first one as `cover`."""
    return f"cover{number or ''}{_SUFFIXES[stream.codec]}"


def _write(source: Path, stream: OtherStream, target: Path) -> Path:
    with open_clip(source) as container:
        packets = container.demux(container.streams[stream.index])
        target.write_bytes(next((bytes(packet) for packet in packets if packet.size), b""))
    return target


_UNTAGGED = ColorTags()


@dataclass(frozen=True)
class MuxRequest:
    """Describe the result.

    streams   streams of the source that are copied.
    offset    seconds from the start of the result to its first frame.
    codec     of the picture.
    start     seconds after the source's start at which the result starts.
    duration  seconds of the result, or None for all of the source.
    rotation  counter-clockwise degrees, written as metadata.
    """

    source: ClipInfo
    container: Container
    streams: tuple[OtherStream, ...]
    offset: Fraction
    codec: str = "h264"
    start: Fraction = Fraction(0)
    duration: Fraction | None = None
    rotation: int = 0
    colors: ColorTags = _UNTAGGED
    mastering: Mastering | None = None
    content_light: tuple[int, int] | None = None

    def has(self, kind: str) -> bool:
        """Return whether a stream of a kind is copied."""
        return any(stream.kind == kind for stream in self.streams)


@dataclass(frozen=True)
class SegmentFile:
    """Name the file of a segment, and the seconds from its start to the start of the next."""

    path: Path
    start: Fraction
    end: Fraction


def write_list(target: Path, pieces: Sequence[SegmentFile]) -> None:
    """Write the list of segments in ffconcat format; the names are relative to it and hold no special characters.

    ffconcat counts microseconds: the times are rounded, not the durations, so that the sum does not drift.
    """
    lines = ["ffconcat version 1.0"]
    for piece in pieces:
        micros = round(piece.end * 1_000_000) - round(piece.start * 1_000_000)
        lines += [f"file {piece.path.name}", f"duration {micros // 1_000_000}.{micros % 1_000_000:06d}"]
    target.write_text("\n".join(lines) + "\n", encoding="ascii")


def mux(pieces: Path, target: Path, request: MuxRequest) -> None:
    """Mux a list of segments and the source into `target`; cover art for Matroska is first written beside the list.

    Raises: MediaError if ffmpeg fails.
    """
    covers = write_covers(request.source.path, _attached_covers(request), pieces.parent)
    run(mux_arguments(pieces, target, request, covers))


def mux_arguments(pieces: Path, target: Path, request: MuxRequest, covers: Sequence[Path] = ()) -> list[str]:
    """Return ffmpeg's arguments for `mux`."""
    shift = -(request.source.start + request.start)
    picture = [*_picture_tags(request), "-itsoffset", _seconds(request.offset), "-f", "concat", "-i", file_url(pieces)]
    source = ["-itsoffset", _seconds(shift), "-f", request.source.container, "-i", file_url(request.source.path)]
    # fmt: off
    return [
        "-copyts", *LOCAL_ONLY, *picture, *LOCAL_ONLY, *source,
        "-map", "0:v:0", *_maps(request), *_attach(request, covers),
        "-c", "copy", *_subtitle_codecs(request), *_metadata(request), *_tags(request), *_window(request),
        "-fflags", "+bitexact", "-f", request.container.muxer, "-y", file_url(target),
    ]
    # fmt: on


def _picture_tags(request: MuxRequest) -> list[str]:
    """Return the side data that raw pictures cannot carry; old releases of ffmpeg support only the first."""
    tags = ["-display_rotation:v:0", str(request.rotation)] if request.rotation else []
    if request.mastering and has_option("mastering_display"):
        tags += ["-mastering_display:v:0", request.mastering.text()]
    if request.content_light and has_option("content_light"):
        tags += ["-content_light:v:0", f"{request.content_light[0]},{request.content_light[1]}"]
    return tags


def _dispositions(request: MuxRequest) -> list[str]:
    """Set the dispositions of all streams: raw pictures lose them, and ffmpeg would choose its own."""
    flags = [request.source.video.dispositions, *(stream.dispositions for stream in _tracks(request))]
    texts = ["+".join(each) or "0" for each in flags]
    return [argument for number, text in enumerate(texts) for argument in (f"-disposition:{number}", text)]


def _window(request: MuxRequest) -> list[str]:
    """Drop packets outside the part between --start and --end.

    -ss as an output option would also drop the picture's first packets: their decoding times lie before the start.
    """
    length = [] if request.duration is None else ["-t", _seconds(request.duration)]
    if not request.start:
        return length
    early = r"noise=drop=lt(pts*tb\,0)"
    kinds = [name for name, kind in (("a", "audio"), ("s", "subtitle"), ("d", "data")) if request.has(kind)]
    return [*(argument for name in kinds for argument in (f"-bsf:{name}", early)), *length]


def _colors(colors: ColorTags) -> list[str]:
    """Return the color tags of the container: not every codec carries all of them, and raw pictures carry none."""
    tags = {"colorspace": colors.matrix, "color_primaries": colors.primaries, "color_trc": colors.transfer}
    known = {name: value for name, value in tags.items() if value != UNSPECIFIED}
    if colors.range:
        known["color_range"] = colors.range
    return [argument for name, value in known.items() for argument in (f"-{name}:v:0", str(value))]


def _tracks(request: MuxRequest) -> list[OtherStream]:
    """Return the streams that are copied as packets."""
    covers = _attached_covers(request)
    return [stream for stream in request.streams if stream not in covers]


def _attached_covers(request: MuxRequest) -> list[OtherStream]:
    """Return the cover art that is attached as files, the only way Matroska stores it."""
    attach = request.container.muxer == "matroska"
    return [stream for stream in request.streams if attach and stream.kind == "cover"]


def _attach(request: MuxRequest, covers: Sequence[Path]) -> list[str]:
    first = sum(stream.kind == "attachment" for stream in request.streams)
    arguments = []
    for number, cover in enumerate(covers, first):
        kind = "image/png" if cover.suffix == ".png" else "image/jpeg"
        tags = ["filename", cover.name], ["mimetype", kind]
        arguments += ["-attach", file_url(cover)]
        arguments += [each for name, value in tags for each in (f"-metadata:s:t:{number}", f"{name}={value}")]
    return arguments


def _maps(request: MuxRequest) -> list[str]:
    return [argument for stream in _tracks(request) for argument in ("-map", f"1:{stream.index}")]


def _metadata(request: MuxRequest) -> list[str]:
    """Copy metadata and chapters from the source; if one stream's are mapped, all must be."""
    sources = [request.source.video.index, *(stream.index for stream in _tracks(request))]
    pairs = [(f"-map_metadata:s:{number}", f"1:s:{index}") for number, index in enumerate(sources)]
    return ["-map_metadata", "1", *(argument for pair in pairs for argument in pair), "-map_chapters", "1"]


def _subtitle_codecs(request: MuxRequest) -> list[str]:
    subtitles = [stream for stream in request.streams if stream.kind == "subtitle"]
    codecs = [subtitle_codec(request.container, stream.codec) or "copy" for stream in subtitles]
    return [argument for number, codec in enumerate(codecs) for argument in (f"-c:s:{number}", codec)]


def _tags(request: MuxRequest) -> list[str]:
    """Return the tags of the container; Apple's players accept HEVC only under the name hvc1."""
    tags = [*_dispositions(request), *_colors(request.colors)]
    if request.container.muxer not in ("mp4", "mov"):
        return tags
    name = ["-tag:v:0", "hvc1"] if request.codec == "hevc" else []
    # MOV stores tags in one of two places: one accepts any tag, the other supports cover art.
    anywhere = "+use_metadata_tags" if request.source.own_tags and not request.has("cover") else ""
    # A file with its date in both places is read as "date;date", which is not a valid date.
    date = ["-metadata", f"creation_time={request.source.created}"] if request.source.created else []
    return [*tags, *name, *date, "-movflags", f"+faststart{anywhere}"]


def _seconds(value: Fraction) -> str:
    return f"{float(value):.6f}"


def mux_preview(pieces: Path, target: Path, request: MuxRequest, settings: EncodeSettings) -> None:
    """Encode the preview of a list of segments beside their source, with the first audio stream.

    Raises: MediaError if ffmpeg fails.
    """
    run(preview_arguments(pieces, target, request, settings))


def preview_arguments(pieces: Path, target: Path, request: MuxRequest, settings: EncodeSettings) -> list[str]:
    """Return ffmpeg's arguments for `mux_preview`."""
    source, video = request.source, request.source.video
    width, height, rate = settings.final_width, settings.final_height, settings.rate
    start = float(request.start + request.offset)
    rotate = "" if request.rotation == 0 else _ROTATE[request.rotation]
    sizing = f"scale={width}:{height}:flags=bicubic+accurate_rnd,format={settings.pixels}"
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    graph = (
        f"[1:{video.index}]setpts=PTS-STARTPTS,fps={rate.numerator}/{rate.denominator},{sizing},setsar=1{rotate}[left];"
        f"[0:v:0]setpts=PTS-STARTPTS,setsar=1{rotate}[right];[left][right]hstack=shortest=1,{even}[both]"
    )
    sound = [stream for stream in request.streams if stream.kind == "audio"][:1]
    # fmt: off
    return [
        *LOCAL_ONLY, "-f", "concat", "-i", file_url(pieces),
        *LOCAL_ONLY, "-noautorotate", "-ss", f"{start:.6f}", "-f", source.container, "-i", file_url(source.path),
        "-filter_complex", graph, "-map", "[both]",
        *[argument for stream in sound for argument in ("-map", f"1:{stream.index}")],
        "-c:a", "copy", "-shortest", *settings.encoder, *REPEATABLE,
        "-f", request.container.muxer, "-y", file_url(target),
    ]
    # fmt: on


_ROTATE = {90: ",transpose=cclock", 180: ",transpose=clock,transpose=clock", 270: ",transpose=clock"}
