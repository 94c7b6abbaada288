"""Join segments and everything else of the source into the result. Packets are copied; nothing is encoded again.

Cover pictures of a clip as files of their own.

A preview: the source, enlarged by bicubic interpolation, and the result, side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from esrt_core.media.video.clip import UNSPECIFIED, ClipInfo, ColorTags, Mastering, OtherStream
from esrt_core.media.video.containers import Container, subtitle_codec
from esrt_core.media.video.ffmpeg import LOCAL_ONLY, file_url, has_option, opened, run
from esrt_core.media.video.writer import REPEATABLE, EncodeSettings

_SUFFIXES = {"png": ".png", "mjpeg": ".jpg"}


def write_covers(source: Path, covers: Sequence[OtherStream], folder: Path) -> list[Path]:
    """Write the covers of a clip that are PNG or JPEG, as they are, into a folder; return their paths."""
    wanted = [stream for stream in covers if stream.codec in _SUFFIXES]
    return [_write(source, stream, folder / _name(number, stream)) for number, stream in enumerate(wanted)]


def _name(number: int, stream: OtherStream) -> str:
    """Name the first one as players look for it."""
    return f"cover{number or ''}{_SUFFIXES[stream.codec]}"


def _write(source: Path, stream: OtherStream, target: Path) -> Path:
    with opened(source) as container:
        packets = container.demux(container.streams[stream.index])
        target.write_bytes(next((bytes(packet) for packet in packets if packet.size), b""))
    return target


_UNTAGGED = ColorTags()


@dataclass(frozen=True)
class MuxRequest:
    """Say what the result holds.

    streams   those of the source that are copied, beside the picture.
    offset    seconds of the first frame after the start of the result.
    start     seconds of the source, after its own start, at which the result starts.
    duration  seconds after which the result ends, or None for all.
    codec     of the picture.
    rotation  counter-clockwise degrees, carried as metadata.
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
        """Say whether a stream of a kind is copied."""
        return any(stream.kind == kind for stream in self.streams)


@dataclass(frozen=True)
class SegmentFile:
    """Name a segment's file and the seconds until the next one begins."""

    path: Path
    start: Fraction
    end: Fraction


def write_list(target: Path, pieces: Sequence[SegmentFile]) -> None:
    """Write the list of segments in ffconcat form; the names are relative to it and hold no special character.

    ffconcat counts microseconds: rounding the times, not the durations, keeps the sum from drifting.
    """
    lines = ["ffconcat version 1.0"]
    for piece in pieces:
        micros = round(piece.end * 1_000_000) - round(piece.start * 1_000_000)
        lines += [f"file {piece.path.name}", f"duration {micros // 1_000_000}.{micros % 1_000_000:06d}"]
    target.write_text("\n".join(lines) + "\n", encoding="ascii")


def join(pieces: Path, target: Path, request: MuxRequest) -> None:
    """Make the result of a list of segments and its source; raise MediaError where ffmpeg cannot.

    Covers that go into Matroska are written beside the list first.
    """
    covers = write_covers(request.source.path, _attached_covers(request), pieces.parent)
    run(mux_arguments(pieces, target, request, covers))


def mux_arguments(pieces: Path, target: Path, request: MuxRequest, covers: Sequence[Path] = ()) -> list[str]:
    """Return ffmpeg's arguments for `join`."""
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
    """Return the tags that raw pictures lost on their way; old releases of ffmpeg know only the first."""
    tags = ["-display_rotation:v:0", str(request.rotation)] if request.rotation else []
    if request.mastering and has_option("mastering_display"):
        tags += ["-mastering_display:v:0", request.mastering.text()]
    if request.content_light and has_option("content_light"):
        tags += ["-content_light:v:0", f"{request.content_light[0]},{request.content_light[1]}"]
    return tags


def _dispositions(request: MuxRequest) -> list[str]:
    """Name the dispositions of all streams: those of raw pictures are lost, and ffmpeg would choose its own."""
    flags = [request.source.video.dispositions, *(stream.dispositions for stream in _tracks(request))]
    texts = ["+".join(each) or "0" for each in flags]
    return [argument for number, text in enumerate(texts) for argument in (f"-disposition:{number}", text)]


def _window(request: MuxRequest) -> list[str]:
    """Leave out the packets outside the part that is made.

    An output's -ss would take the picture's first packets too: their decoding times lie before its start.
    """
    length = [] if request.duration is None else ["-t", _seconds(request.duration)]
    if not request.start:
        return length
    early = r"noise=drop=lt(pts*tb\,0)"
    kinds = [name for name, kind in (("a", "audio"), ("s", "subtitle"), ("d", "data")) if request.has(kind)]
    return [*(argument for name in kinds for argument in (f"-bsf:{name}", early)), *length]


def _colors(colors: ColorTags) -> list[str]:
    """Return the tags for the container: not every codec carries all of them, and raw pictures none."""
    tags = {"colorspace": colors.matrix, "color_primaries": colors.primaries, "color_trc": colors.transfer}
    known = {name: value for name, value in tags.items() if value != UNSPECIFIED}
    if colors.range:
        known["color_range"] = colors.range
    return [argument for name, value in known.items() for argument in (f"-{name}:v:0", str(value))]


def _tracks(request: MuxRequest) -> list[OtherStream]:
    """Return the streams that are copied packet by packet."""
    covers = _attached_covers(request)
    return [stream for stream in request.streams if stream not in covers]


def _attached_covers(request: MuxRequest) -> list[OtherStream]:
    """Return the covers that are attached as files: Matroska has no other place for them."""
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
    """Take metadata and chapters from the source; naming one stream's takes naming all of them."""
    sources = [request.source.video.index, *(stream.index for stream in _tracks(request))]
    pairs = [(f"-map_metadata:s:{number}", f"1:s:{index}") for number, index in enumerate(sources)]
    return ["-map_metadata", "1", *(argument for pair in pairs for argument in pair), "-map_chapters", "1"]


def _subtitle_codecs(request: MuxRequest) -> list[str]:
    subtitles = [stream for stream in request.streams if stream.kind == "subtitle"]
    codecs = [subtitle_codec(request.container, stream.codec) or "copy" for stream in subtitles]
    return [argument for number, codec in enumerate(codecs) for argument in (f"-c:s:{number}", codec)]


def _tags(request: MuxRequest) -> list[str]:
    """Return what the container says of the picture; Apple's players take HEVC under one of its two names only."""
    tags = [*_dispositions(request), *_colors(request.colors)]
    if request.container.muxer not in ("mp4", "mov"):
        return tags
    name = ["-tag:v:0", "hvc1"] if request.codec == "hevc" else []
    # Tags are kept in one of two places: one takes any tag, the other a cover.
    anywhere = "+use_metadata_tags" if request.source.own_tags and not request.has("cover") else ""
    # A file that has its date in both places is read with "date;date", which is no date.
    date = ["-metadata", f"creation_time={request.source.created}"] if request.source.created else []
    return [*tags, *name, *date, "-movflags", f"+faststart{anywhere}"]


def _seconds(value: Fraction) -> str:
    return f"{float(value):.6f}"


def mux_preview(pieces: Path, target: Path, request: MuxRequest, settings: EncodeSettings) -> None:
    """Make the preview of a list of segments and their source; the picture alone, and the first sound.

    Raise MediaError where ffmpeg cannot.
    """
    run(preview_arguments(pieces, target, request, settings))


def preview_arguments(pieces: Path, target: Path, request: MuxRequest, settings: EncodeSettings) -> list[str]:
    """Return ffmpeg's arguments for `mux_preview`."""
    source, video = request.source, request.source.video
    width, height, rate = settings.final_width, settings.final_height, settings.rate
    start = float(request.start + request.offset)
    turn = "" if request.rotation == 0 else _TURNS[request.rotation]
    sizing = f"scale={width}:{height}:flags=bicubic+accurate_rnd,format={settings.pixels}"
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    graph = (
        f"[1:{video.index}]setpts=PTS-STARTPTS,fps={rate.numerator}/{rate.denominator},{sizing},setsar=1{turn}[left];"
        f"[0:v:0]setpts=PTS-STARTPTS,setsar=1{turn}[right];[left][right]hstack=shortest=1,{even}[both]"
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


_TURNS = {90: ",transpose=cclock", 180: ",transpose=clock,transpose=clock", 270: ",transpose=clock"}
