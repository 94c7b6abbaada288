"""Plan one clip: size, target, codec, pixel format, timing and streams, decided and checked before the work."""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from esrt_core.errors import MediaError, OptionError, TargetError
from esrt_core.files import check_target, free_bytes
from esrt_core.media.video import ffmpeg
from esrt_core.media.video.captions import CEA_608
from esrt_core.media.video.clip import UNSPECIFIED, ClipInfo, ColorTags, OtherStream, PixelLayout, parse_layout
from esrt_core.media.video.codecs import CODECS, Codec, Encoder, choose_pixels, encoder_arguments
from esrt_core.media.video.containers import (
    CONTAINERS,
    SOUND_CODECS,
    Container,
    container_of,
    holds_sound,
    lost_streams,
)
from esrt_core.media.video.mux import MuxRequest
from esrt_core.media.video.reader import ReadRequest, shape_of
from esrt_core.media.video.writer import EncodeSettings
from esrt_core.pipeline.image.plan import names_folder
from esrt_core.pipeline.sizes import SizePlan, SizeRequest, plan_size
from esrt_core.pipeline.video.notes import plan_notes, unsupported_streams
from esrt_core.pipeline.video.options import PREVIEW_SECONDS, VideoOptions, named_result, result_name
from esrt_core.pipeline.video.timeline import Timeline, make_timeline
from esrt_core.selection import ChainSelector, ModelChain


def choose_codec(clip: ClipInfo, container: Container, options: VideoOptions, target: Path) -> Codec:
    """Return the codec of the result.

    Raises: OptionError if the container does not support the requested codec, or the codec a requested option.
    """
    name = options.codec or container.codecs[0]
    if name not in container.codecs:
        raise OptionError(
            f"{container.muxer} does not support {name}; use: esrt video {clip.path} --codec {name} "
            f"-o {target.with_suffix('.mkv')}"
        )
    return _check_codec_options(CODECS[name], options)


def choose_encoder(codec: Codec, kind: str) -> Encoder:
    """Return the encoder of a kind, or the first available one for "auto".

    Raises: MediaError if this ffmpeg has none, OptionError if the codec has no encoder of this kind.
    """
    known = ffmpeg.encoders()
    if kind == "auto":
        found = next((encoder for encoder in codec.encoders if encoder.name in known), None)
    else:
        found = codec.encoder_of(kind)
    if found is None or found.name not in known:
        name = codec.software.name if found is None else found.name
        available = ", ".join(each.name for each in CODECS.values() if each.software.name in known)
        raise MediaError(f"this ffmpeg has no encoder {name}; choose another --codec ({available}) or --encoder")
    return found


def decide_pixels(layout: PixelLayout, codec: Codec, encoder: Encoder, size: SizePlan, options: VideoOptions) -> str:
    """Return the pixel format of the result.

    Raises: MediaError if the size exceeds the codec's limits, OptionError if --pix-fmt does not fit encoder or size.
    """
    if not (size.width <= codec.max_width and size.height <= codec.max_height):
        raise MediaError(
            f"the result would have {size.width} x {size.height} px but {codec.name} supports at most "
            f"{codec.max_width} x {codec.max_height}; request a smaller size or another --codec"
        )
    if options.pixels is None:
        return choose_pixels(layout, encoder, codec.even_chroma, size.width, size.height)
    if options.pixels not in encoder.pixels:
        raise OptionError(f"{encoder.name} does not support {options.pixels}; use one of {', '.join(encoder.pixels)}")
    layout_out = parse_layout(options.pixels)
    chroma = layout_out.chroma if layout_out else "444"
    odd = (size.width % 2 and chroma != "444") or (size.height % 2 and chroma == "420")
    if codec.even_chroma and odd:
        raise OptionError(
            f"{codec.name} in {options.pixels} needs even sides, not {size.width} x {size.height}; "
            f"use --pix-fmt yuv444p or another size"
        )
    return options.pixels


def _check_codec_options(codec: Codec, options: VideoOptions) -> Codec:
    least, most = codec.crf_range
    if options.crf is not None and (codec.crf is None or not least <= options.crf <= most):
        raise OptionError(
            f"--crf must be from {least} to {most} for {codec.name}, not {options.crf}"
            if codec.crf is not None
            else f"{codec.name} has no --crf; its quality is fixed"
        )
    if options.preset is not None and options.preset not in codec.presets:
        names = f"use one of {', '.join(codec.presets)}" if codec.presets else "it has none"
        raise OptionError(f"{codec.name} does not support --preset {options.preset}; {names}")
    return codec


def plan_clip_size(clip: ClipInfo, options: VideoOptions, chain: ModelChain) -> SizePlan:
    """Return the size of the stored picture; the request refers to the picture as displayed, after rotation.

    A side that was not requested becomes even, so that it consists of whole chroma samples.

    Raises: OptionError if the requested size does not enlarge the clip, MediaError if it has too many px.
    """
    video, request = clip.video, options.request
    sideways = video.rotation in (90, 270)
    if sideways:
        request = replace(request, width=request.height, height=request.width)
    try:
        size = plan_size(request, video.width, video.height, chain.scales, chain.later_scales)
    except OptionError as error:
        raise OptionError(f"{clip.path}: {error}") from error
    width, height = _even_sides(request, size)
    _check_pixels(f"{clip.path}: its frames have", video.width, video.height, options.max_pixels)
    _check_pixels(f"{clip.path}: the result would have", width, height, options.max_pixels)
    resample = (width, height) != (video.width * math.prod(size.passes), video.height * math.prod(size.passes))
    return SizePlan(size.passes, width, height, resample)


def _check_pixels(what: str, width: int, height: int, most: int) -> None:
    if width * height > most:
        raise MediaError(
            f"{what} {width} x {height} px, more than the {most:,} px allowed; "
            "request a smaller size or raise --max-pixels"
        )


def _even_sides(request: SizeRequest, size: SizePlan) -> tuple[int, int]:
    if request.factor is not None and request.factor.denominator == 1:
        return size.width, size.height
    requested = {request.width, request.height, request.longest}
    sides = (size.width, size.height)
    width, height = (side if side in requested else side + side % 2 for side in sides)
    return width, height


_LONG_NAME = 200  # bytes; most file systems allow 255


def decide_clip_target(path: Path, options: VideoOptions) -> Path:
    """Return the path of a clip's result: beside the clip, in a folder, or the file given with -o."""
    output = options.output
    if output is not None and not names_folder(output):
        return Path(output)
    folder = path.parent if output is None else Path(output)
    ending = options.request.suffix(()) + ("_preview" if options.preview else "")
    name = result_name(path, ending, options.many)
    return folder / (named_result(path, Path(name).suffix, options) or name)


def work_folder(target: Path) -> Path:
    """Return the folder for the unfinished work of a target; a long name is replaced by its digest."""
    name = os.fsencode(target.name)
    if len(name) > _LONG_NAME:
        return target.with_name(f".{hashlib.sha256(name).hexdigest()[:32]}.esrt-work")
    return target.with_name(f".{target.name}.esrt-work")


_STUDIO = 1
_BT709 = 1


@dataclass(frozen=True)
class VideoPlan:
    """Describe everything that upscale_clip() does for one clip.

    work           folder of the unfinished work, beside the target.
    slots          frames of the result.
    segment_slots  frames of one segment.
    needed         bytes of disk space that the work is expected to need, the result included.
    threads        of the encoder, whose bytes depend on them.
    """

    clip: ClipInfo
    target: Path
    work: Path
    container: Container
    codec: Codec
    encoder: Encoder
    chain: ModelChain
    size: SizePlan
    read: ReadRequest
    timeline: Timeline
    encode: EncodeSettings
    mux: MuxRequest
    slots: int
    segment_slots: int
    needed: int
    threads: int
    notes: tuple[str, ...]
    options: VideoOptions

    @property
    def frame_size(self) -> SizePlan:
        """The passes and the final size of a frame as it is decoded, which may be rotated."""
        return replace(self.size, width=self.encode.width, height=self.encode.height)


def plan_clip(clip: ClipInfo, options: VideoOptions, selector: ChainSelector, threads: int) -> VideoPlan:
    """Decide target, size, codec, timing and streams of a clip's result; `threads` are the encoder's.

    The selector's plain chain makes all frames.

    Raises: OptionError, MediaError or TargetError, in one line that says what to do, if the work would fail later.
    """
    options = _resolve_window(options, clip)
    chain = selector.plain
    size = plan_clip_size(clip, options, chain)
    target = decide_clip_target(clip.path, options)
    container = _container(target)
    codec = choose_codec(clip, container, options, target)
    encoder = choose_encoder(codec, options.encoder)
    read = _read_request(clip, container, encoder, options)
    layout = shape_of(clip.video, read).layout
    pixels = decide_pixels(layout, codec, encoder, size, options)
    timeline = _timeline(clip, options)
    encode = _encode_settings(clip, read, timeline, size, pixels, codec, encoder, threads, options)
    mux = _mux_request(clip, container, codec, timeline, read, options, target)
    captions = CEA_608 in clip.captions and container.text is not None and not options.preview
    spherical = clip.spherical and container.spherical and codec.name != "prores"
    mux = replace(mux, has_alpha="yuva" in pixels, captions=captions, spherical=spherical)
    needed = expected_bytes(codec, size, timeline.slots, clip.size)
    notes = (*clip.notes, *plan_notes(clip, read, options, encode, mux))
    plan = VideoPlan(
        clip, target, work_folder(target), container, codec, encoder, chain, size, read, timeline, encode, mux,
        timeline.slots, max(round(options.segment * timeline.rate), 1), needed, threads, notes, options,
    )  # fmt: skip
    _check_target(plan)
    return plan


def _resolve_window(options: VideoOptions, clip: ClipInfo) -> VideoOptions:
    """Return the options with the part of a preview: from --start, or after a third, when most clips show something."""
    if options.start is not None and options.start >= clip.duration:
        raise OptionError(f"{clip.path} is {float(clip.duration):.2f} s long; --start is beyond its end")
    if not options.preview:
        return options
    start = options.start
    if start is None:
        start = max(min(clip.duration / 3, clip.duration - PREVIEW_SECONDS), Fraction(0))
    return replace(options, start=start, end=options.end or start + PREVIEW_SECONDS)


def _container(target: Path) -> Container:
    container = container_of(target)
    if container is None:
        raise OptionError(
            f"{target}: '{target.suffix}' is not a supported container; use -o {target.with_suffix('.mkv')}"
        )
    return container


def _read_request(clip: ClipInfo, container: Container, encoder: Encoder, options: VideoOptions) -> ReadRequest:
    video = clip.video
    has_alpha = any(parse_layout(name) is not None and "yuva" in name for name in encoder.pixels)
    if encoder.name == "libvpx-vp9":  # its alpha is a second layer
        has_alpha = container.layers_alpha
    wants_alpha = options.pixels is None or "yuva" in options.pixels
    return ReadRequest(
        rotation=video.mirrored or (video.rotation != 0 and not container.supports_rotation),
        deinterlace=options.deinterlace,
        flatten=video.layout.alpha and not (has_alpha and wants_alpha),
    )


def _timeline(clip: ClipInfo, options: VideoOptions) -> Timeline:
    """Return the timeline; --start and --end count from the clip's start, its picture may begin later."""
    timing = clip.video.timing
    delay = timing.start - clip.start
    end = None if options.end is None else options.end - delay
    start = (options.start or Fraction(0)) - delay
    timeline = make_timeline(timing, options.vfr == "keep", start, end)
    if timeline.begin >= timeline.end:
        raise OptionError(f"{clip.path} has no frame between --start and --end")
    return timeline


def _encode_settings(
    clip: ClipInfo, read: ReadRequest, timeline: Timeline, size: SizePlan, pixels: str,
    codec: Codec, encoder: Encoder, threads: int, options: VideoOptions,
) -> EncodeSettings:  # fmt: skip
    shape, video = shape_of(clip.video, read), clip.video
    turned = read.rotation and video.rotation in (90, 270)
    final = (size.height, size.width) if turned else (size.width, size.height)
    arguments = encoder_arguments(
        codec, encoder, options.crf, options.preset, threads, video.mastering, video.content_light
    )
    aspect = 1 / video.aspect if turned else video.aspect
    return EncodeSettings(
        layout=shape.layout,
        width=final[0],
        height=final[1],
        time_base=timeline.unit,
        rate=timeline.rate,
        pixels=pixels,
        aspect=aspect,
        colors=_tags(clip),
        encoder=tuple(arguments),
    )


def _tags(clip: ClipInfo) -> ColorTags:
    colors = clip.video.colors
    if not clip.video.is_rgb:
        return colors
    return ColorTags(_STUDIO, _BT709, *(each or UNSPECIFIED for each in (colors.primaries, colors.transfer)))


def _mux_request(
    clip: ClipInfo, container: Container, codec: Codec, timeline: Timeline, read: ReadRequest, options: VideoOptions,
    target: Path,
) -> MuxRequest:  # fmt: skip
    video, start = clip.video, options.start or Fraction(0)
    lost = unsupported_streams(clip, container, options)
    if [stream for stream in lost if stream.kind != "data"] and not options.drop:
        raise OptionError(f"{target.name} cannot contain {_way_out(clip, container, lost, target)}")
    left_out = (*lost, *(clip.of_kind("audio") if options.audio == "none" else ()))
    kept = tuple(
        stream for stream in clip.other_streams if stream not in left_out and stream.kind not in _FROM_METADATA
    )
    converted = () if options.audio in ("copy", "none") else _converted(kept, container, options.audio)
    return MuxRequest(
        source=clip,
        container=container,
        streams=kept,
        codec=codec.name,
        offset=max(video.timing.start + timeline.offset - clip.start - start, Fraction(0)),
        start=start,
        duration=None if options.end is None else min(options.end, clip.duration) - start,
        colors=_tags(clip),
        rotation=0 if read.rotation else video.rotation,
        converted=converted,
        sound=options.audio if converted else "copy",
        mastering=video.mastering,
        content_light=video.content_light,
    )


_FROM_METADATA = ("timecode", "chapters")  # streams that ffmpeg writes from the metadata


def _way_out(clip: ClipInfo, container: Container, lost: Sequence[OtherStream], target: Path) -> str:
    """Return which streams are lost, and the options that help."""
    names = ", ".join(f"{stream.index} ({stream.kind} {stream.codec})" for stream in lost)
    matroska = CONTAINERS[".mkv"]
    ways = [] if lost_streams(matroska, lost) else [f"-o {target.with_suffix('.mkv')}"]
    if container.sound and all(stream.kind == "audio" for stream in lost):
        ways.append(f"--audio {container.sound} to convert it")
    ways.append("--drop-streams to leave it out")
    return f"stream {names} of {clip.path.name}; use {', or '.join(ways)}"


def _converted(streams: Sequence[OtherStream], container: Container, codec: str) -> tuple[int, ...]:
    """Return the indices of the audio streams that have to be converted to a codec.

    Raises: OptionError if the container does not support it.
    """
    if not holds_sound(container, codec):
        known = ", ".join(each for each in SOUND_CODECS if holds_sound(container, each))
        raise OptionError(f"{container.muxer} does not support --audio {codec}; use one of {known}")
    return tuple(stream.index for stream in streams if stream.kind == "audio" and stream.codec != codec)


def _check_target(plan: VideoPlan) -> None:
    makes_folder = plan.options.output is not None and names_folder(plan.options.output)
    check_target(plan.target, plan.options.overwrite, [plan.clip.path], may_make_folder=makes_folder)
    free = free_bytes(plan.target.parent)
    if free < plan.needed:
        raise TargetError(
            f"{plan.target}: needs about {byte_text(plan.needed)} of disk space but {byte_text(free)} are free; "
            "free some space or choose another folder with -o"
        )


def byte_text(size: int) -> str:
    """Return a size in bytes with at least two significant digits and a decimal unit."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor * (1 - _HALF_UNIT):
            value = size / factor
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{size} bytes"


_HALF_UNIT = 0.0005  # 999.6 kB is 1.0 MB


def expected_bytes(codec: Codec, size: SizePlan, slots: int, source_bytes: int) -> int:
    """Return the bytes of disk space that the work may need: segments and result exist together for a moment."""
    picture = math.ceil(codec.bits * size.width * size.height * slots / 8)
    return 2 * picture + source_bytes
