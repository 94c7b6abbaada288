"""Carry out the plan of one clip: decode, upscale, encode in segments, join. Nothing finished is ever lost."""

import itertools
import os
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from esrt_core.errors import MediaError
from esrt_core.files import atomic_write, make_folder
from esrt_core.media.ahead import ahead
from esrt_core.media.behind import behind
from esrt_core.media.clip_probe import probe_clip
from esrt_core.media.clip_reader import ClipFrame
from esrt_core.media.mux import Piece, join, write_list
from esrt_core.media.preview import join_preview
from esrt_core.pipeline.damage import DamageLog, told
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.frame_upscaler import FrameUpscaler
from esrt_core.pipeline.journal import Journal, Segment
from esrt_core.pipeline.resumed import Mark, frames_from
from esrt_core.pipeline.segments import SegmentMaker, remove_parts
from esrt_core.pipeline.timeline import Slot, slots_of
from esrt_core.pipeline.video_header import begin_or_go_on, earlier_threads, header_of
from esrt_core.pipeline.video_options import VideoOptions
from esrt_core.pipeline.video_plan import VideoPlan, plan_clip
from esrt_core.pipeline.video_target import decide_clip_target, work_folder
from esrt_core.pipeline.video_trial import prove
from esrt_core.pipeline.work_folder import locked, remove
from esrt_core.progress import Progress, ProgressCallback, ignore_progress

_MOST_THREADS = 16
_ROOM_READ = 4  # frames decoded ahead of the network
_ROOM_WRITE = 4  # frames that wait for the encoder


@dataclass(frozen=True)
class ClipResult:
    """Say what became of one clip.

    frames           of the result; `went_on_at` of them were there from an earlier run.
    frames_computed  went through the network now, `frames_reused` equalled the frame before them; so with tiles.
    fps              frames of the result made a second, reused ones included.
    notes            what was changed or lost on the way; `damage` is what could not be read, with its times.
    """

    source: str
    target: str
    codec: str
    encoder: str
    pixels: str
    source_size: tuple[int, int]
    size: tuple[int, int]
    rate: str
    frames: int
    went_on_at: int
    frames_computed: int
    frames_reused: int
    tiles_computed: int
    tiles_reused: int
    share_reused: float
    model: str
    reason: str
    device: str
    precision: str
    tile: int
    seconds: float
    fps: float
    notes: tuple[str, ...]
    damage: tuple[str, ...]


def prepare_clip(path: Path, options: VideoOptions, engines: Engines) -> VideoPlan:
    """Probe and plan a clip, and prove the encoder and the muxer on two frames.

    Raise MediaError, OptionError or TargetError, in one line, for whatever would fail later.
    """
    clip = probe_clip(path)
    threads = earlier_threads(work_folder(decide_clip_target(clip, options))) or _cores()
    return prove(plan_clip(clip, options, engines.lineups, threads))


def upscale_clip(plan: VideoPlan, engines: Engines, progress: ProgressCallback = ignore_progress) -> ClipResult:
    """Make the larger clip of a plan, or go on with it where an earlier run ended.

    Finished segments stay in the plan's work folder until the result is complete under its name. Raise OptionError
    where that folder holds work of another source or other options.
    """
    started = time.perf_counter()
    make_folder(plan.target.parent)
    with locked(plan.work):
        remove_parts(plan.work)
        journal = Journal(plan.work)
        done = begin_or_go_on(journal, header_of(plan, engines.of(plan.lineup)), plan.options.restart)
        engines = _with_tile(plan, engines.of(plan.lineup), done)
        work = FrameUpscaler(engines, plan.size.passes, plan.options.reuse)
        _make_segments(plan, work, journal, done, progress)
        segments = journal.segments()
        if not segments:
            raise MediaError(f"{plan.clip.path}: not one frame could be decoded")
        _join(plan, segments)
    remove(plan.work)
    return _result(plan, engines, work, segments, done, time.perf_counter() - started)


def _cores() -> int:
    return min(os.cpu_count() or 1, _MOST_THREADS)


def _with_tile(plan: VideoPlan, engines: Engines, done: list[Segment]) -> Engines:
    """Take up the smaller tile that an earlier run fell back to when memory ran out."""
    if not done or not done[-1].tile:
        return engines
    video = plan.clip.video
    planned = engines.upscaler(plan.size.passes[0]).plan(video.width, video.height).tile
    if done[-1].tile >= planned:
        return engines
    smaller = replace(engines.options, tile=done[-1].tile)
    return Engines(engines.lineups.asked, smaller).of(plan.lineup)


def _make_segments(
    plan: VideoPlan, work: FrameUpscaler, journal: Journal, done: list[Segment], progress: ProgressCallback
) -> None:
    number = done[-1].first + done[-1].slots if done else 0
    if number and not plan.timeline.keep and number >= plan.slots:
        return
    mark = Mark(done[-1].source_tick, done[-1].check) if done else None
    log = DamageLog(mark.tick if mark else 0)
    maker = SegmentMaker(journal, plan.encode, plan.segment_slots, log.taken)
    report = _Report(plan, work, number, progress)
    source = _slots(plan, mark, number, log)
    with ahead(source, _ROOM_READ) as slots, behind(maker, _ROOM_WRITE) as hand:
        for group in _groups(slots, work.group_size(plan.clip.video.width, plan.clip.video.height)):
            for frame in work(group):
                hand(frame)
            report(group[-1].number + 1)


def _slots(plan: VideoPlan, mark: Mark | None, number: int, log: DamageLog) -> Generator[Slot]:
    timeline = plan.timeline
    first = timeline.begin if timeline.keep else int(timeline.begin / timeline.rate / timeline.time_base)
    frames = frames_from(plan.clip, plan.read, first, mark, log.heard)

    def logged() -> Iterator[ClipFrame]:
        for frame in frames:
            log.passed(frame.tick)
            yield frame

    with closing(frames):
        yield from slots_of(logged(), timeline, number)


def _groups(slots: Iterator[Slot], size: int) -> Iterator[list[Slot]]:
    while group := list(itertools.islice(slots, size)):
        yield group


class _Report:
    """Tell how far the work has come: frames, segment, and the share that was reused."""

    def __init__(self, plan: VideoPlan, work: FrameUpscaler, first: int, progress: ProgressCallback) -> None:
        self._plan = plan
        self._work = work
        self._segments = -(-plan.slots // plan.segment_slots)
        self._progress = progress
        self(first)

    def __call__(self, done: int) -> None:
        """Tell that this many frames of the result are there."""
        segment = min(done // self._plan.segment_slots + 1, self._segments)
        stage = f"segment {segment}/{self._segments}, {self._work.share_reused:.0%} reused"
        self._progress(Progress(stage, done, self._plan.slots, "frames"))


def _join(plan: VideoPlan, segments: list[Segment]) -> None:
    unit = plan.encode.time_base
    starts = [segment.start * unit for segment in segments]
    ends = [*starts[1:], segments[-1].end * unit]
    pieces = [
        Piece(plan.work / segment.name, start - starts[0], end - starts[0])
        for segment, start, end in zip(segments, starts, ends, strict=True)
    ]
    listing = plan.work / "segments.ffconcat"
    write_list(listing, pieces)
    request = replace(plan.join, offset=plan.join.offset + starts[0])
    with atomic_write(plan.target, plan.options.overwrite) as temporary:
        if plan.options.preview:
            join_preview(listing, temporary, request, plan.encode)
        else:
            join(listing, temporary, request)


def _result(
    plan: VideoPlan, engines: Engines, work: FrameUpscaler, segments: list[Segment], done: list[Segment], seconds: float
) -> ClipResult:
    engine = engines.upscaler(plan.size.passes[0])
    video, made = plan.clip.video, work.frames_computed + work.frames_reused
    complaints = tuple(line for segment in segments for line in segment.damage)
    return ClipResult(
        source=str(plan.clip.path),
        target=str(plan.target),
        codec=plan.codec.name,
        encoder=plan.encoder.name,
        pixels=plan.encode.pixels,
        source_size=(video.width, video.height),
        size=(plan.encode.final_width, plan.encode.final_height),
        rate=str(Fraction(plan.timeline.rate)),
        frames=sum(segment.slots for segment in segments),
        went_on_at=sum(segment.slots for segment in done),
        frames_computed=work.frames_computed,
        frames_reused=work.frames_reused,
        tiles_computed=work.tiles_computed,
        tiles_reused=work.tiles_reused,
        share_reused=round(work.share_reused, 4),
        model=engines.model,
        reason=plan.lineup.reason,
        device=engine.device_name,
        precision=engine.precision,
        tile=work.tile,
        seconds=round(seconds, 3),
        fps=round(made / seconds, 3),
        notes=(*plan.notes, *work.notes),
        damage=told(plan.clip, complaints),
    )
