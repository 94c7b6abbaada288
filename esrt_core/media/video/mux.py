"""Mux the encoded segments with the other streams and the metadata of the source, and make previews.

Packets are copied, not encoded again; only a preview, which shows the source enlarged by bicubic interpolation beside
the result, is encoded.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from esrt_core.errors import MediaError
from esrt_core.media.video.clip import UNSPECIFIED, ClipInfo, ColorTags, Mastering, OtherStream
from esrt_core.media.video.containers import Container, subtitle_codec
from esrt_core.media.video.ffmpeg import LOCAL_ONLY, file_url, has_option, open_clip, run
from esrt_core.media.video.packets import read_all_streams
from esrt_core.media.video.reader import ReadRequest, layered_decoder
from esrt_core.media.video.spherical import insert_boxes, spherical_boxes, stereo_mode, write_spherical_picture
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
    has_alpha the picture is transparent.
    converted indices of audio streams that are encoded again.
    sound     the codec to which they are converted.
    captions  closed captions of the picture become a subtitle stream.
    spherical the metadata of a 360 degree clip is kept.
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
    has_alpha: bool = False
    converted: tuple[int, ...] = ()
    sound: str = "copy"
    captions: bool = False
    spherical: bool = False
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


LIST_NAME = "segments.ffconcat"
CAPTIONS_NAME = "captions.srt"


def write_list(target: Path, pieces: Sequence[SegmentFile]) -> None:
    """Write the list of segments in ffconcat format; the names are relative to it and hold no special characters.

    ffconcat counts microseconds: the times are rounded, not the durations, so that the sum does not drift.
    """
    lines = ["ffconcat version 1.0"]
    for piece in pieces:
        micros = round(piece.end * 1_000_000) - round(piece.start * 1_000_000)
        lines += [f"file {piece.path.name}", f"duration {micros // 1_000_000}.{micros % 1_000_000:06d}"]
    target.write_text("\n".join(lines) + "\n", encoding="ascii")


def mux(pieces: Path, target: Path, request: MuxRequest, captions: Path | None = None) -> None:
    """Mux a list of segments, the source and captions (SRT in seconds after the result's start) into `target`.

    Cover art for Matroska is first written beside the list.

    Raises: MediaError if ffmpeg fails.
    """
    covers = write_covers(request.source.path, _attached_covers(request), pieces.parent)
    boxes = spherical_boxes(request.source, pieces.parent) if request.spherical else b""
    if boxes and request.container.muxer == "matroska":
        pieces = write_spherical_picture(pieces, boxes)
    mode = stereo_mode(boxes)
    tags = ["-metadata:s:v:0", f"stereo_mode={mode}"] if mode else []
    arguments = mux_arguments(pieces, target, request, covers, captions, tags)
    run(arguments, pieces.parent)
    if boxes and request.container.muxer in ("mp4", "mov"):
        insert_boxes(target, boxes, pieces.parent)


def _list_url(pieces: Path) -> str:
    """Return the list's URL relative to its folder, in which ffmpeg runs.

    Names in a list are resolved against its URL, in which `#` and `?` of a folder would end the path.
    """
    return f"file:{pieces.name}"


def mux_arguments(
    pieces: Path,
    target: Path,
    request: MuxRequest,
    covers: Sequence[Path] = (),
    captions: Path | None = None,
    stereo_tags: Sequence[str] = (),
) -> list[str]:
    """Return ffmpeg's arguments for `mux`; `pieces` is a list of segments, or of a spherical clip the whole picture."""
    shift = -(request.source.start + request.start)
    kind = ["-f", "mp4" if pieces.suffix == ".mp4" else "concat"]
    picture = [*_picture_tags(request), "-itsoffset", _seconds(request.offset), *kind, "-i", _list_url(pieces)]
    closes_gaps = bool(request.source.restarts)
    source = ["-itsoffset", _seconds(shift), "-f", request.source.container, "-i", file_url(request.source.path)]
    # fmt: off
    return [
        *([] if closes_gaps else ["-copyts"]), *LOCAL_ONLY, *picture, *LOCAL_ONLY, *source,
        *([*LOCAL_ONLY, "-f", "srt", "-i", f"file:{captions.name}"] if captions else []),
        "-map", "0:v:0", *_maps(request), *(["-map", "2:0"] if captions else []), *_attach(request, covers),
        "-c", "copy", *_audio_codecs(request), *_subtitle_codecs(request), *_metadata(request), *_tags(request),
        *stereo_tags, *(_caption_options(request) if captions else []), *_window(request),
        *(["-copypriorss", "1"] if closes_gaps else []),
        "-fflags", "+bitexact", "-f", request.container.muxer, "-y", file_url(target),
        *(read_all_streams(1) if closes_gaps else []),
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
    flags = [request.source.video.dispositions, *(stream.dispositions for stream in copied_streams(request))]
    texts = ["+".join(each) or "0" for each in flags]
    return [argument for number, text in enumerate(texts) for argument in (f"-disposition:{number}", text)]


def _window(request: MuxRequest) -> list[str]:
    """Drop packets outside the part between --start and --end.

    -ss as an output option would also drop the picture's first packets: their decoding times lie before the start.
    """
    arguments = []
    for name, kind in (("a", "audio"), ("s", "subtitle"), ("d", "data")):
        filters = [_BEFORE[kind]] if request.start else []
        if request.duration is not None and kind != "audio":  # a packet that begins inside may last much longer
            filters.append(rf"setts=duration=min(DURATION\,max({_seconds(request.duration)}/TB-PTS\,1))")
        if filters and (request.has(kind) or (request.captions and kind == "subtitle")):
            arguments += [f"-bsf:{name}", ",".join(filters)]
    return arguments if request.duration is None else [*arguments, "-t", _seconds(request.duration)]


# A subtitle that is on the screen at the start is shown from there on.
_BEFORE = {
    "audio": r"noise=drop=lt(pts*tb\,0)",
    "subtitle": r"noise=drop=lt(pts*tb\,0)*lte((pts+d)*tb\,0),"
    r"setts=pts=max(PTS\,0):dts=max(DTS\,0):duration=DURATION+min(PTS\,0)",
    "data": r"noise=drop=lt(pts*tb\,0)",
}


def _colors(colors: ColorTags) -> list[str]:
    """Return the color tags of the container: not every codec carries all of them, and raw pictures carry none."""
    tags = {"colorspace": colors.matrix, "color_primaries": colors.primaries, "color_trc": colors.transfer}
    known = {name: value for name, value in tags.items() if value != UNSPECIFIED}
    if colors.range:
        known["color_range"] = colors.range
    return [argument for name, value in known.items() for argument in (f"-{name}:v:0", str(value))]


def copied_streams(request: MuxRequest) -> list[OtherStream]:
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
    return [argument for stream in copied_streams(request) for argument in ("-map", f"1:{stream.index}")]


def _metadata(request: MuxRequest) -> list[str]:
    """Copy metadata and chapters from the source; if one stream's are mapped, all must be."""
    sources = [request.source.video.index, *(stream.index for stream in copied_streams(request))]
    pairs = [(f"-map_metadata:s:{number}", f"1:s:{index}") for number, index in enumerate(sources)]
    changed = range(len(sources) if request.start or request.duration is not None else 1)
    stale = [(f"-metadata:s:{number}", f"{tag}{end}=") for number in changed for tag in _STATISTICS for end in _ENDS]
    alpha = [("-metadata:s:v:0", "alpha_mode=1" if request.has_alpha and request.codec == "vp9" else "alpha_mode=")]
    arguments = [argument for pair in (*pairs, *stale, *alpha) for argument in pair]
    return ["-map_metadata", "1", *arguments, "-map_chapters", "1"]


# What mkvmerge writes about a stream's packets, which are others now; some versions append a language.
_STATISTICS = (
    "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS_TAGS", "_STATISTICS_WRITING_APP",
    "_STATISTICS_WRITING_DATE_UTC",
)  # fmt: skip
_ENDS = ("", "-eng")


_SOUND_BITS = {"aac": "256k", "opus": "192k"}  # a second
_OPUS_LAYOUTS = "aformat=channel_layouts=7.1|6.1|5.1|5.0|quad|3.0|stereo|mono"  # others, as 5.1(side), are refused


def _audio_codecs(request: MuxRequest) -> list[str]:
    sounds = [stream for stream in request.streams if stream.kind == "audio"]
    numbers = [number for number, stream in enumerate(sounds) if stream.index in request.converted]
    encoder = {"opus": "libopus"}.get(request.sound, request.sound)
    rate = _SOUND_BITS.get(request.sound)
    # -t counts from the first sample, which lies before --start.
    filters = [*(["atrim=start=0"] if request.start else []), *([_OPUS_LAYOUTS] if request.sound == "opus" else [])]
    arguments = []
    for number in numbers:
        arguments += [f"-c:a:{number}", encoder, *([f"-b:a:{number}", rate] if rate else [])]
        arguments += [f"-filter:a:{number}", ",".join(filters)] if filters else []
    return arguments


def _caption_options(request: MuxRequest) -> list[str]:
    """Return the codec, title and disposition of the closed captions, the last subtitle stream."""
    number = sum(stream.kind == "subtitle" for stream in request.streams)
    codec = request.container.text or "copy"
    title = ["-metadata:s:s:" + str(number), "title=Closed captions"]
    return [f"-c:s:{number}", codec, *title, f"-disposition:s:{number}", "captions"]


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


def mux_preview(
    pieces: Path, target: Path, request: MuxRequest, settings: EncodeSettings, read: ReadRequest, frames: int
) -> None:
    """Encode the preview of a list of segments beside their source, with the first audio stream.

    `read` has the proven seek at or before the first frame; `frames` are those of the segments.

    Raises: MediaError if ffmpeg fails, or the preview does not have all frames.
    """
    run(preview_arguments(pieces, target, request, settings, read), pieces.parent)
    made = count_frames(target)
    if made < frames:
        raise MediaError(f"the preview of {request.source.path} has only {made} of {frames} frames; report this clip")


def count_frames(path: Path) -> int:
    """Return the number of frames in the first video stream of a file, counting its packets."""
    with open_clip(path) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def preview_arguments(
    pieces: Path, target: Path, request: MuxRequest, settings: EncodeSettings, read: ReadRequest
) -> list[str]:
    """Return ffmpeg's arguments for `mux_preview`.

    Both sides count time from the first frame of the result. The source shows the frame nearest to that of every frame
    of the result, as the result itself does.
    """
    source, video = request.source, request.source.video
    width, height, rate = settings.width, settings.height, settings.rate
    begin = source.start + request.start + request.offset
    rotate = "" if request.rotation == 0 else _ROTATE[request.rotation]
    sizing = f"scale={width}:{height}:flags=bicubic+accurate_rnd,format={settings.pixels}"
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    if source.is_counted and not source.slots:
        times = f"setpts=round((N/({video.timing.rate})-({begin - source.start - video.timing.start}))/TB)"
    else:
        times = f"setpts=round(PTS-({begin})/TB)"
    held = math.ceil((request.duration or source.duration) * rate) + 1  # frames: an endless pad never stops
    deinterlace = "bwdif=mode=send_frame," if read.deinterlace else ""
    rotate_left = "" if read.rotation else rotate
    graph = (
        f"[1:{video.index}]{deinterlace}{times},fps={rate.numerator}/{rate.denominator}:start_time=0,{sizing},"
        f"setsar=1{rotate_left},tpad=stop_mode=clone:stop={held}[left];"
        f"[0:v:0]setpts=PTS-STARTPTS,setsar=1{rotate}[right];[left][right]hstack=shortest=1,{even}[both]"
    )
    sound = tuple(stream for stream in request.streams if stream.kind == "audio")[:1]
    heard = replace(request, streams=sound)
    decoder = ["-c:v", "libvpx-vp9"] if settings.layers_alpha else []
    seek = [] if read.after is None else ["-noaccurate_seek", "-ss", _seconds(read.after)]
    shift = ["-itsoffset", _seconds(-(source.start + request.start))]
    clip = ["-f", source.container, "-i", file_url(source.path)]
    # fmt: off
    return [
        *([] if source.restarts else ["-copyts"]),
        *LOCAL_ONLY, *decoder, "-f", "concat", "-i", _list_url(pieces),
        *LOCAL_ONLY, *seek, *layered_decoder(video), *([] if read.rotation else ["-noautorotate"]), *clip,
        *([*LOCAL_ONLY, *shift, *seek, *clip] if sound else []),
        "-filter_complex", graph, "-map", "[both]",
        *[argument for stream in sound for argument in ("-map", f"2:{stream.index}")],
        "-c:a", "copy", *_audio_codecs(heard), *_window(heard), *settings.encoder, *REPEATABLE,
        "-f", request.container.muxer, "-y", file_url(target),
    ]
    # fmt: on


_ROTATE = {90: ",transpose=cclock", 180: ",transpose=clock,transpose=clock", 270: ",transpose=clock"}
