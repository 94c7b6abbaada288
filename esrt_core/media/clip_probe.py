"""Read what a clip holds. PyAV reads it: ffmpeg's own text rounds times and leaves out half of it."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData

from esrt_core.errors import MediaError
from esrt_core.media.clip import ClipInfo, ColorTags, OtherStream, VideoStream
from esrt_core.media.clip_side_data import light_of, mastering_of, turn_of
from esrt_core.media.clip_timing import Timing, timing_of
from esrt_core.media.ffmpeg import LOCAL_ONLY, file_url
from esrt_core.media.pixel_layout import PixelLayout, parse_layout

_LISTS = {"hls", "concat", "dash", "applehttp", "imf", "image2", "tty", "sdp", "rtsp", "lavfi"}
_DYNAMIC = (SideData.DYNAMIC_HDR_PLUS, SideData.DOVI_METADATA, SideData.DOVI_RPU_BUFFER, SideData.DYNAMIC_HDR_VIVID)
_DYNAMIC_NOTE = "Dolby Vision or HDR10+ data of single frames are not carried; the static HDR tags are"
_LOOKED_AT = 12  # frames decoded to see interlacing; some clips begin progressive
_CLEANED_DEPTHS = (8, 9, 10, 12, 14, 16)
_SECOND = Fraction(1)


def probe_clip(path: Path) -> ClipInfo:
    """Describe a clip: its streams, and the time of every frame, read from the packets without decoding them.

    Raise MediaError: not readable, not a clip, a play list, or without a picture.
    """
    with _opened(path) as container:
        name = _container_name(container, path)
        stream = _picture_stream(container, path)
        index = stream.index
        scan = _scan(container, stream)
    count = len(scan.ticks) or scan.untimed
    if not count:
        raise MediaError(f"{path} holds no frame that can be read; the file is damaged or empty")
    with _opened(path) as container:
        stream = container.streams[index]
        look = _look(container, stream)
        if look.frame is None:
            raise MediaError(f"{path}: not one frame could be decoded; the file is damaged, or its codec is unknown")
        is_counted = name == "avi" or not scan.ticks
        timing = _counted(count, stream) if is_counted else _timed(scan.ticks, stream)
        start = Fraction(container.start_time or 0, av.time_base)
        duration = max(Fraction(container.duration or 0, av.time_base), timing.end * timing.time_base - start)
        damage = scan.damage + _missing_end(stream, timing)
        return ClipInfo(
            path=path,
            container=name,
            start=start,
            duration=duration,
            size=path.stat().st_size,
            video=_video(stream, look, timing),
            others=tuple(_other(each) for each in container.streams if each.index != index),
            chapters=len(container.chapters()),
            is_counted=is_counted,
            own_tags=any(key.startswith("com.") for key in container.metadata),
            created=container.metadata.get("creation_time", "").partition(";")[0],
            notes=(_DYNAMIC_NOTE,) if look.dynamic else (),
            damage=tuple(damage),
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if path.is_dir():
        raise MediaError(f"{path} is a folder, not a clip")
    try:
        container = av.open(file_url(path), options=_only_clips(), metadata_errors="replace")
    except FileNotFoundError as error:
        raise MediaError(f"{path} does not exist") from error
    except PermissionError as error:
        raise MediaError(f"{path}: no permission to read it") from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path} is not a clip that ffmpeg can read: {error.strerror or error}") from error
    with container:
        yield container


@functools.cache
def _only_clips() -> dict[str, str]:
    """Return the options that keep a file from leading to others: no network, no list that is named like a clip."""
    return {LOCAL_ONLY[0][1:]: LOCAL_ONLY[1], "format_whitelist": ",".join(sorted(av.formats_available - _LISTS))}


def _container_name(container: Any, path: Path) -> str:
    name: str = container.format.name.split(",")[0]
    if name.endswith("_pipe"):
        raise MediaError(f"{path} is a picture ({name}), not a clip; use: esrt upscale {path}")
    return name


def _picture_stream(container: Any, path: Path) -> Any:
    pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not pictures:
        raise MediaError(f"{path} has no video stream; expected a clip with a picture")
    default = [stream for stream in pictures if stream.disposition & av.stream.Disposition.default]
    stream = (default or pictures)[0]
    if stream.codec_context is None:
        raise MediaError(f"{path}: its video codec is unknown to this ffmpeg")
    return stream


def _is_cover(stream: Any) -> bool:
    return stream.type == "video" and bool(stream.disposition & av.stream.Disposition.attached_pic)


@dataclass
class _Scan:
    """Gather the ticks of the frames with their durations, and what is wrong with the packets."""

    ticks: dict[int, int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    untimed: int = 0

    def add(self, packet: Any) -> None:
        """Note a packet; one without a time is the second field of a frame, or comes from AVI or a raw stream."""
        if packet.pts is None:
            self.untimed += 1
        else:
            self.ticks.setdefault(packet.pts, packet.duration or 0)


def _scan(container: Any, stream: Any) -> _Scan:
    scan = _Scan()
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                scan.add(packet)
                if packet.is_corrupt:
                    scan.damage.append(f"damaged data at {_clock(packet.pts, stream)}")
    except (av.error.FFmpegError, OSError) as error:
        last = max(scan.ticks, default=None)
        scan.damage.append(f"the file cannot be read beyond {_clock(last, stream)} ({error.strerror})")
    return scan


def _clock(tick: int | None, stream: Any) -> str:
    if tick is None:
        return "an unknown time"
    start = Fraction(stream.container.start_time or 0, av.time_base)
    return f"{float(tick * stream.time_base - start):.2f} s"


def _missing_end(stream: Any, timing: Timing) -> list[str]:
    """Say so where the stream should go on for more than a second after its last frame."""
    stated = (stream.duration or 0) * timing.time_base
    if stated and stated - timing.duration > _SECOND:
        return [f"the file ends early: {float(timing.duration):.2f} s of {float(stated):.2f} s are there"]
    return []


@dataclass
class _Look:
    """Gather what only decoded frames tell."""

    frame: Any = None
    interlaced: bool = False
    side_data: dict[Any, bytes] = field(default_factory=dict)
    dynamic: bool = False


def _look(container: Any, stream: Any) -> _Look:
    look = _Look()
    try:
        for number, frame in enumerate(container.decode(stream)):
            look.frame = look.frame or frame
            look.interlaced |= bool(frame.interlaced_frame)
            look.dynamic |= any(frame.side_data.get(kind) is not None for kind in _DYNAMIC)
            for kind in (SideData.DISPLAYMATRIX, SideData.MASTERING_DISPLAY_METADATA, SideData.CONTENT_LIGHT_LEVEL):
                data = frame.side_data.get(kind)
                if data is not None:
                    look.side_data.setdefault(kind, bytes(data))
            if number + 1 == _LOOKED_AT:
                break
    except av.error.FFmpegError:
        return look  # what decodes is enough here; the reader reports the damage with its time
    return look


def _stated_rates(stream: Any) -> list[Fraction]:
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [Fraction(rate) for rate in rates if rate]


def _timed(ticks: dict[int, int], stream: Any) -> Timing:
    shown = sorted(ticks)
    return timing_of(shown, ticks[shown[-1]], Fraction(stream.time_base), _stated_rates(stream))


def _counted(count: int, stream: Any) -> Timing:
    """Return the timing of frames that follow each other at the stated rate, one tick each."""
    rate = next(iter(_stated_rates(stream)), Fraction(25))
    return timing_of(range(count), 1, 1 / rate, [rate])


def _video(stream: Any, look: _Look, timing: Timing) -> VideoStream:
    frame = look.frame
    rotation, mirrored = turn_of(look.side_data.get(SideData.DISPLAYMATRIX))
    pixels = _alpha_pixels(stream, frame.format.name)
    return VideoStream(
        index=stream.index,
        codec=_codec(stream),
        width=frame.width,
        height=frame.height,
        pixels=pixels,
        layout=carried_layout(pixels),
        colors=ColorTags(
            int(frame.color_range), int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)
        ),
        timing=timing,
        rotation=rotation,
        mirrored=mirrored,
        aspect=_aspect(stream),
        interlaced=look.interlaced,
        mastering=mastering_of(look.side_data.get(SideData.MASTERING_DISPLAY_METADATA)),
        light=light_of(look.side_data.get(SideData.CONTENT_LIGHT_LEVEL)),
        dispositions=_dispositions(stream),
    )


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else "unknown"


def _alpha_pixels(stream: Any, name: str) -> str:
    """Name the format with alpha where VP8 and VP9 keep it apart, in a second layer that only libvpx decodes."""
    tagged = any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())
    return "yuva420p" if tagged and name == "yuv420p" else name


def carried_layout(pixels: str) -> PixelLayout:
    """Return the planar YUV layout nearest to any of ffmpeg's pixel formats, never with fewer samples."""
    layout = parse_layout(pixels)
    if layout is not None:
        return layout
    pixel_format = av.VideoFormat(pixels)
    bits = max(component.bits for component in pixel_format.components)
    depth = min(max(each for each in _CLEANED_DEPTHS if each <= max(bits, 8)), 12)
    alpha = any(component.is_alpha for component in pixel_format.components)
    across, down = 64 // pixel_format.chroma_width(64), 64 // pixel_format.chroma_height(64)
    chroma = "420" if across >= 2 and down >= 2 else "422" if across >= 2 else "444"
    return PixelLayout("444" if pixel_format.is_rgb or alpha else chroma, depth, alpha)


def _aspect(stream: Any) -> Fraction:
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)


def _other(stream: Any) -> OtherStream:
    return OtherStream(stream.index, _kind(stream), _codec(stream), stream.language or "", _dispositions(stream))


def _dispositions(stream: Any) -> tuple[str, ...]:
    return tuple(str(flag.name) for flag in av.stream.Disposition if flag in stream.disposition)


def _kind(stream: Any) -> str:
    """Name what a stream is; QuickTime keeps timecode and chapters as tracks, which ffmpeg writes from the metadata."""
    if _is_cover(stream):
        return "cover"
    if stream.type == "data" and "timecode" in stream.metadata:
        return "timecode"
    if stream.type == "data" and stream.metadata.get("handler_name") == "SubtitleHandler":
        return "chapters"
    return str(stream.type)
