"""Probe a clip: its streams, the time of every frame, and what only decoded frames reveal.

PyAV reads it, because the text that ffmpeg prints rounds times and leaves out half of the facts.
"""

import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData

from esrt_core.errors import MediaError
from esrt_core.media.video.captions import captions_of_triplets
from esrt_core.media.video.clip import (
    ClipInfo,
    ColorTags,
    Mastering,
    OtherStream,
    PixelLayout,
    VideoStream,
    parse_layout,
)
from esrt_core.media.video.encryption import PROTECTED_TAGS, is_scrambled
from esrt_core.media.video.ffmpeg import dolby_vision_profile, open_clip, stream_tags
from esrt_core.media.video.packets import closed_up_packets
from esrt_core.media.video.reader import decoded_size
from esrt_core.media.video.scan import Scan, scan_packets
from esrt_core.media.video.timing import Timing, counted, missing_end, timed

_DYNAMIC = (SideData.DYNAMIC_HDR_PLUS, SideData.DOVI_METADATA, SideData.DOVI_RPU_BUFFER, SideData.DYNAMIC_HDR_VIVID)
_INSPECTED_FRAMES = 12  # to detect interlacing; some clips begin with progressive frames


@dataclass
class FirstFrames:
    """Hold what only decoded frames reveal: the first frame, interlacing and side data."""

    frame: Any = None
    interlaced: bool = False
    side_data: dict[Any, bytes] = field(default_factory=dict)
    dynamic: bool = False
    captions: frozenset[str] = frozenset()
    spherical: bool = False


def inspect_first_frames(container: Any, stream: Any) -> FirstFrames:
    """Decode the first frames of a stream, as many as can be decoded."""
    first = FirstFrames()
    for frame in itertools.islice(_decoded_frames(container, stream), _INSPECTED_FRAMES):
        first.frame = first.frame or frame
        first.interlaced |= bool(frame.interlaced_frame)
        first.dynamic |= any(frame.side_data.get(kind) is not None for kind in _DYNAMIC)
        first.captions |= captions_of_triplets(bytes(frame.side_data.get(SideData.A53_CC) or b""))
        first.spherical |= frame.side_data.get(SideData.SPHERICAL) is not None
        for kind in (SideData.DISPLAYMATRIX, SideData.MASTERING_DISPLAY_METADATA, SideData.CONTENT_LIGHT_LEVEL):
            data = frame.side_data.get(kind)
            if data is not None:
                first.side_data.setdefault(kind, bytes(data))
    return first


def _decoded_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yield frames up to the first error: the reader reports the damage with its time."""
    try:
        yield from container.decode(stream)
    except av.error.FFmpegError:
        return


def rotation_of(matrix: bytes | None) -> tuple[int, bool]:
    """Return the counter-clockwise degrees of a display matrix, and whether it mirrors or rotates by another angle.

    The layout is that of libavutil/display.h.
    """
    if matrix is None:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    turns = {(1, 0, 0, 1): 0, (0, -1, 1, 0): 90, (-1, 0, 0, -1): 180, (0, 1, -1, 0): 270}
    signs = tuple((value > 0) - (value < 0) for value in (a, b, c, d))
    return (turns[signs], False) if signs in turns else (0, True)


def mastering_of(data: bytes | None) -> Mastering | None:
    """Return the mastering display from the bytes of AVMasteringDisplayMetadata, or None if it is incomplete."""
    if data is None:
        return None
    numbers = struct.unpack("=22i", data[:88])
    ratios = [Fraction(top, bottom or 1) for top, bottom in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    if not (numbers[20] and numbers[21]):
        return None
    points = [round(ratio * 50000) for ratio in ratios[:8]]
    primaries = tuple(zip(points[::2], points[1::2], strict=True))
    return Mastering(primaries, (round(ratios[8] * 10000), round(ratios[9] * 10000)))


def content_light_of(data: bytes | None) -> tuple[int, int] | None:
    """Return MaxCLL and MaxFALL from the bytes of AVContentLightMetadata, in cd/m2."""
    if data is None:
        return None
    most, average = struct.unpack("=2I", data[:8])
    return most, average


_DYNAMIC_NOTE = "Dolby Vision or HDR10+ metadata of single frames is lost; the static HDR tags are kept"
_ENCRYPTED = "is encrypted (DRM); only a copy without encryption can be upscaled"
_INCOMPATIBLE_PROFILE = 5  # of Dolby Vision
_LISTED = 5
_CARRIED_DEPTHS = (8, 9, 10, 12, 14, 16)


def probe_clip(path: Path) -> ClipInfo:
    """Describe a clip: its streams, and the time of every frame, read from the packets without decoding them.

    Raises: MediaError if the file cannot be read, is not a clip, is a playlist, or has no video stream.
    """
    index, scan, empty = _scan_picture(path)
    if scan.is_encrypted:
        raise MediaError(f"{path} {_ENCRYPTED}")
    if not scan.count:
        reason = _ENCRYPTED if is_scrambled(path) else "contains no readable frame; the file is damaged or empty"
        raise MediaError(f"{path} {reason}")
    with open_clip(path) as container:
        first = inspect_first_frames(container, container.streams[index])
        if first.frame is None:
            reason = _ENCRYPTED if is_scrambled(path) else f"cannot be decoded; {_advice(container, path)}"
            raise MediaError(f"{path} {reason}")
        clip = _describe(path, container, container.streams[index], scan, first, empty)
    size = decoded_size(clip) or (clip.video.width, clip.video.height)
    return replace(clip, video=replace(clip.video, width=size[0], height=size[1]))


def _scan_picture(path: Path) -> tuple[int, Scan, frozenset[int]]:
    """Return the index and the packets of the first video stream that has any, and the indices of those before it.

    Files for several bandwidths, such as of Windows Media, may list streams that are empty.
    """
    empty: list[int] = []
    while True:
        with open_clip(path) as container:
            streams = _picture_streams(container, path)
            stream = streams[len(empty)]
            index, scan = stream.index, scan_packets(container, stream)
        if scan.count or len(empty) + 1 == len(streams):
            return index, scan, frozenset(empty)
        empty.append(index)


def _advice(container: Any, path: Path) -> str:
    if container.format.name.startswith(("webp", "gif", "apng")):
        return f"this may be an animated picture; use: esrt upscale {path}"
    return "the file is damaged, or its codec is unknown"


def _refuse_dolby_vision_5(path: Path, stream: Any, name: str) -> None:
    """Refuse colors (IPTPQc2) that ffmpeg decodes as if they were YUV; other profiles have a usable base layer."""
    if _codec(stream) in ("hevc", "av1") and dolby_vision_profile(path, name) == _INCOMPATIBLE_PROFILE:
        raise MediaError(
            f"{path} is Dolby Vision profile 5, whose colors only a Dolby Vision decoder shows correctly; "
            "convert it to HDR10 or SDR first"
        )


def _describe(
    path: Path, container: Any, stream: Any, scan: Scan, first: FirstFrames, empty: frozenset[int]
) -> ClipInfo:
    name = _container_name(container, path)
    is_counted = name == "avi" or not scan.ticks
    _refuse_dolby_vision_5(path, stream, name)
    slots = scan.missing_slots() if name == "avi" and stream.time_base * (stream.average_rate or 0) == 1 else ()
    closed = closed_up_packets(path, name, stream.index) if scan.restarts else []
    ticks = {tick: length for tick, length in closed if tick is not None} if scan.restarts else scan.ticks
    shown = [tick for tick, _ in closed] if scan.restarts else scan.order
    timing = counted(scan.packets, slots, stream) if is_counted else timed(ticks, stream)
    length = Fraction(0 if scan.restarts else container.duration or 0, av.time_base)
    tags = stream_tags(path, name) if container.chapters() else {}
    start = Fraction(0 if scan.restarts else container.start_time or 0, av.time_base)

    def times(numbers: Sequence[int]) -> list[str]:
        """Return when packets are shown, as text."""
        found = (shown[number] if number < len(shown) else None for number in numbers)
        return [_clock(None if tick is None else tick * timing.time_base - start) for tick in found]

    return ClipInfo(
        path=path,
        container=name,
        start=start,
        duration=max(length, timing.end * timing.time_base - start),
        size=path.stat().st_size,
        video=_video(stream, first, timing, scan.byte_size),
        other_streams=tuple(
            _other(each, tags.get(each.index, ""))
            for each in container.streams
            if each.index != stream.index and each.index not in empty
        ),
        chapters=len(container.chapters()),
        is_counted=is_counted,
        slots=slots,
        restarts=_restart_times(scan, shown, timing),
        own_tags=any(key.startswith("com.") for key in container.metadata),
        created=container.metadata.get("creation_time", "").partition(";")[0],
        captions=first.captions | scan.captions,
        spherical=first.spherical,
        notes=_notes(first, times(scan.changes[:_LISTED])),
        suspects=tuple(f"damaged data at {time}" for time in times(scan.suspects)),
        damage=(*scan.damage, *(() if scan.restarts else missing_end(stream, timing))),
    )


def _notes(first: FirstFrames, changes: Sequence[str]) -> tuple[str, ...]:
    notes = [_DYNAMIC_NOTE] if first.dynamic else []
    if changes:
        notes.append(f"size or pixel shape of the picture change at {', '.join(changes)}: shown as at the start")
    return tuple(notes)


def _clock(seconds: Fraction | None) -> str:
    return "an unknown time" if seconds is None else f"{float(seconds):.2f} s"


def _restart_times(scan: Scan, shown: Sequence[int | None], timing: Timing) -> tuple[Fraction, ...]:
    """Return the seconds at which the clock restarts, in the times after the gaps have been closed."""
    later = ([tick for tick in shown[number:] if tick is not None] for number in scan.restart_packets)
    return tuple(min(ticks) * timing.time_base for ticks in later if ticks)


def _container_name(container: Any, path: Path) -> str:
    name: str = container.format.name.split(",")[0]
    if name.endswith("_pipe"):
        raise MediaError(f"{path} is a picture ({name}), not a clip; use: esrt upscale {path}")
    return name


def _picture_streams(container: Any, path: Path) -> list[Any]:
    """Return the video streams that may be upscaled, the preferred one first."""
    pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not pictures:
        raise MediaError(f"{path} has no video stream")
    known = [stream for stream in pictures if stream.codec_context is not None]
    if not known:
        tags = stream_tags(path, _container_name(container, path)).values()
        reason = "uses a video codec that this ffmpeg does not support"
        raise MediaError(f"{path} {reason if PROTECTED_TAGS.isdisjoint(tags) else _ENCRYPTED}")
    return sorted(known, key=lambda stream: not stream.disposition & av.stream.Disposition.default)


def _is_cover(stream: Any) -> bool:
    return stream.type == "video" and bool(stream.disposition & av.stream.Disposition.attached_pic)


def _video(stream: Any, first: FirstFrames, timing: Timing, byte_size: int) -> VideoStream:
    frame = first.frame
    rotation, mirrored = rotation_of(first.side_data.get(SideData.DISPLAYMATRIX))
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
        interlaced=first.interlaced,
        mastering=mastering_of(first.side_data.get(SideData.MASTERING_DISPLAY_METADATA)),
        content_light=content_light_of(first.side_data.get(SideData.CONTENT_LIGHT_LEVEL)),
        dispositions=_dispositions(stream),
        byte_size=byte_size,
    )


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else "unknown"


def _alpha_pixels(stream: Any, name: str) -> str:
    """Return the pixel format; VP8 and VP9 keep alpha in a second layer that only libvpx decodes, and a tag says so."""
    tagged = any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())
    return "yuva420p" if tagged and name == "yuv420p" and _codec(stream) in ("vp8", "vp9") else name


def carried_layout(pixels: str) -> PixelLayout:
    """Return the planar YUV layout that is nearest to a pixel format of ffmpeg and loses no samples."""
    layout = parse_layout(pixels)
    if layout is not None:
        return layout
    pixel_format = av.VideoFormat(pixels)
    bits = max(component.bits for component in pixel_format.components)
    depth = min(max(each for each in _CARRIED_DEPTHS if each <= max(bits, 8)), 12)
    alpha = any(component.is_alpha for component in pixel_format.components)
    across, down = 64 // pixel_format.chroma_width(64), 64 // pixel_format.chroma_height(64)
    chroma = "420" if across >= 2 and down >= 2 else "422" if across >= 2 else "444"
    return PixelLayout("444" if pixel_format.is_rgb or alpha else chroma, depth, alpha)


def _aspect(stream: Any) -> Fraction:
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)


def _other(stream: Any, tag: str) -> OtherStream:
    return OtherStream(stream.index, _kind(stream, tag), _codec(stream), stream.language or "", _dispositions(stream))


def _dispositions(stream: Any) -> tuple[str, ...]:
    return tuple(str(flag.name) for flag in av.stream.Disposition if flag in stream.disposition)


def _kind(stream: Any, tag: str) -> str:
    """Return the kind; QuickTime stores timecode and chapters as tracks, which ffmpeg writes from the metadata.

    `tag` is its four-character code if there are chapters: not every program names their track as ffmpeg does.
    """
    if _is_cover(stream):
        return "cover"
    if stream.type == "data" and "timecode" in stream.metadata:
        return "timecode"
    if stream.type == "data" and (stream.metadata.get("handler_name") == "SubtitleHandler" or tag == "text"):
        return "chapters"
    return str(stream.type)
