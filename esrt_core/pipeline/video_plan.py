"""What will be done for one clip, decided and checked before any frame is upscaled."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from esrt_core.errors import OptionError, TargetError
from esrt_core.files import check_target, free_bytes
from esrt_core.media.clip import UNSPECIFIED, ClipInfo, ColorTags
from esrt_core.media.clip_reader import ReadRequest, shape_of
from esrt_core.media.clip_writer import EncodeSettings
from esrt_core.media.codecs import Codec, Encoder, encoder_arguments
from esrt_core.media.containers import Container, container_of, lost_streams
from esrt_core.media.mux import JoinRequest
from esrt_core.media.pixel_layout import parse_layout
from esrt_core.pipeline.lineup import Lineup, Lineups
from esrt_core.pipeline.loss import loss_of_clip
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.pipeline.targets import names_folder
from esrt_core.pipeline.timeline import Timeline, make_timeline
from esrt_core.pipeline.video_codec import choose_codec, choose_encoder, decide_pixels
from esrt_core.pipeline.video_notes import plan_notes
from esrt_core.pipeline.video_options import PREVIEW_SECONDS, VideoOptions
from esrt_core.pipeline.video_size import plan_clip_size
from esrt_core.pipeline.video_target import decide_clip_target, work_folder

_STUDIO = 1
_BT709 = 1


@dataclass(frozen=True)
class VideoPlan:
    """Hold what upscale_clip() carries out.

    work           folder of the unfinished work, beside the target.
    slots          frames of the result.
    segment_slots  frames of one segment.
    needed         bytes that the work is expected to take on the disk, the result included.
    threads        of the encoder: its bytes depend on them.
    """

    clip: ClipInfo
    target: Path
    work: Path
    container: Container
    codec: Codec
    encoder: Encoder
    lineup: Lineup
    size: SizePlan
    read: ReadRequest
    timeline: Timeline
    encode: EncodeSettings
    join: JoinRequest
    slots: int
    segment_slots: int
    needed: int
    threads: int
    notes: tuple[str, ...]
    options: VideoOptions


def plan_clip(clip: ClipInfo, options: VideoOptions, lineups: Lineups, threads: int) -> VideoPlan:
    """Decide weights, target, size, codec, timing and streams of a clip's result. `threads` are the encoder's.

    Raise OptionError, MediaError or TargetError, in one line that says what to do, for whatever could fail later.
    """
    options = _windowed(options, clip)
    lineup = lineups.choose(loss_of_clip(clip))
    size = plan_clip_size(clip, options, lineup)
    target = decide_clip_target(clip, options)
    container = _container(target)
    codec = choose_codec(clip, container, options, target)
    encoder = choose_encoder(codec, options.encoder)
    read = _read_request(clip, container, encoder, options)
    layout = shape_of(clip.video, read).layout
    pixels = decide_pixels(layout, codec, encoder, size, options)
    timeline = _timeline(clip, options)
    encode = _encode_settings(clip, read, timeline, size, pixels, codec, encoder, threads, options)
    join = _join_request(clip, container, codec, timeline, read, options, target)
    needed = expected_bytes(codec, size, timeline.slots, clip.size)
    notes = (*clip.notes, *plan_notes(clip, read, options, encode, join))
    plan = VideoPlan(
        clip, target, work_folder(target), container, codec, encoder, lineup, size, read, timeline, encode, join,
        timeline.slots, max(round(options.segment * timeline.rate), 1), needed, threads, notes, options,
    )  # fmt: skip
    _check_place(plan)
    return plan


def _windowed(options: VideoOptions, clip: ClipInfo) -> VideoOptions:
    """Turn a preview into a part of the clip: from --start, or from a third on, where most clips show something."""
    if options.start is not None and options.start >= clip.duration:
        raise OptionError(f"{clip.path} is {float(clip.duration):.2f} s long; --start lies beyond its end")
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
            f"{target}: '{target.suffix}' is no container that can be written; use -o {target.with_suffix('.mkv')}"
        )
    return container


def _read_request(clip: ClipInfo, container: Container, encoder: Encoder, options: VideoOptions) -> ReadRequest:
    video = clip.video
    can_be_clear = any(parse_layout(name) is not None and "yuva" in name for name in encoder.pixels)
    wants_alpha = options.pixels is None or "yuva" in options.pixels
    return ReadRequest(
        turn=video.mirrored or (video.rotation != 0 and not container.turns),
        deinterlace=options.deinterlace,
        flatten=video.layout.alpha and not (can_be_clear and wants_alpha),
    )


def _timeline(clip: ClipInfo, options: VideoOptions) -> Timeline:
    """Count --start and --end from the clip's start; its picture may begin later."""
    timing = clip.video.timing
    late = timing.start - clip.start
    end = None if options.end is None else options.end - late
    start = (options.start or Fraction(0)) - late
    timeline = make_timeline(timing, options.vfr == "keep", start, end)
    if timeline.begin >= timeline.end:
        raise OptionError(f"{clip.path} shows no frame between --start and --end")
    return timeline


def _encode_settings(
    clip: ClipInfo, read: ReadRequest, timeline: Timeline, size: SizePlan, pixels: str,
    codec: Codec, encoder: Encoder, threads: int, options: VideoOptions,
) -> EncodeSettings:  # fmt: skip
    shape, video = shape_of(clip.video, read), clip.video
    turned = read.turn and video.rotation in (90, 270)
    final = (size.height, size.width) if turned else (size.width, size.height)
    factor = math.prod(size.passes)
    arguments = encoder_arguments(codec, encoder, options.crf, options.preset, threads, video.mastering, video.light)
    aspect = 1 / video.aspect if turned else video.aspect
    return EncodeSettings(
        layout=shape.layout,
        width=shape.width * factor,
        height=shape.height * factor,
        time_base=timeline.unit,
        rate=timeline.rate,
        pixels=pixels,
        final_width=final[0],
        final_height=final[1],
        aspect=aspect,
        colors=_tags(clip),
        encoder=tuple(arguments),
    )


def _tags(clip: ClipInfo) -> ColorTags:
    colors = clip.video.colors
    if not clip.video.is_rgb:
        return colors
    return ColorTags(_STUDIO, _BT709, *(each or UNSPECIFIED for each in (colors.primaries, colors.transfer)))


def _join_request(
    clip: ClipInfo, container: Container, codec: Codec, timeline: Timeline, read: ReadRequest, options: VideoOptions,
    target: Path,
) -> JoinRequest:  # fmt: skip
    video, start = clip.video, options.start or Fraction(0)
    lost = lost_streams(container, clip.others)
    if [stream for stream in lost if stream.kind != "data"] and not options.drop:
        names = ", ".join(f"{stream.index} ({stream.kind} {stream.codec})" for stream in lost)
        raise OptionError(
            f"{target.name} cannot hold stream {names} of {clip.path.name}; "
            f"use -o {target.with_suffix('.mkv')}, or --drop-streams to leave it out"
        )
    written_anew = ("timecode", "chapters")
    kept = tuple(stream for stream in clip.others if stream not in lost and stream.kind not in written_anew)
    return JoinRequest(
        source=clip,
        container=container,
        streams=kept,
        codec=codec.name,
        offset=max(video.timing.start + timeline.offset - clip.start - start, Fraction(0)),
        start=start,
        duration=None if options.end is None else min(options.end, clip.duration) - start,
        colors=_tags(clip),
        rotation=0 if read.turn else video.rotation,
        mastering=video.mastering,
        light=video.light,
    )


def _check_place(plan: VideoPlan) -> None:
    makes_folder = plan.options.output is not None and names_folder(plan.options.output)
    check_target(plan.target, plan.options.overwrite, [plan.clip.path], may_make_folder=makes_folder)
    free = free_bytes(plan.target.parent)
    if free < plan.needed:
        raise TargetError(
            f"{plan.target}: about {plan.needed / 1e9:.1f} GB are needed for the work and {free / 1e9:.1f} GB are "
            "free; free some space or choose another folder with -o"
        )


def expected_bytes(codec: Codec, size: SizePlan, slots: int, source_bytes: int) -> int:
    """Return the disk space that the work may take: segments and result exist side by side for a moment."""
    picture = math.ceil(codec.bits * size.width * size.height * slots / 8)
    return 2 * picture + source_bytes
