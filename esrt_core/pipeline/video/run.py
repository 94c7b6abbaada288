"""Upscale clips one by one: plan, decode, upscale, encode in segments, mux. A finished segment is never lost."""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from esrt_core.engine.gpu import named_devices
from esrt_core.engine.options import MIN_TILE
from esrt_core.errors import EsrtError, MediaError, StopError, TargetError
from esrt_core.files import atomic_write, make_folder
from esrt_core.media.video.captions import write_captions
from esrt_core.media.video.clip import ClipInfo
from esrt_core.media.video.damage import DamageLog, damage_report
from esrt_core.media.video.mux import (
    CAPTIONS_NAME,
    LIST_NAME,
    SegmentFile,
    mux,
    mux_preview,
    write_list,
)
from esrt_core.media.video.probe import probe_clip
from esrt_core.media.video.reader import ClipFrame, sample_frames
from esrt_core.media.video.writer import EncodeSettings, FrameWriter
from esrt_core.pipeline.image.run import LONG
from esrt_core.pipeline.video.frames import DoneFrame, FrameUpscaler
from esrt_core.pipeline.video.options import VideoOptions, find_clips, is_many, skipped_files
from esrt_core.pipeline.video.plan import VideoPlan, decide_clip_target, plan_clip, plan_clip_size, work_folder
from esrt_core.pipeline.video.preflight import check_encoder, preview_read, segment_name
from esrt_core.pipeline.video.resume import (
    MAX_THREADS,
    Header,
    ResumeLog,
    ResumePoint,
    Segment,
    begin_or_resume,
    digest,
    earlier_threads,
    finished_frames,
    frames_from,
    header_of,
    locked,
    remove,
)
from esrt_core.pipeline.video.timeline import Slot, slots_of
from esrt_core.pipeline.video.verify import Expected, differences
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.selection import ModelChain, UpscalerPool, container_of_clip, hashes_of
from esrt_core.system.threads import consume_in_background, prefetch

LOOKED_AT = 5  # frames, spread over the clip, by which the weights are chosen
_PART = ".part"  # suffix of a segment that is being encoded
_READ_AHEAD = 4  # frames decoded ahead of the network
_WRITE_BEHIND = 4  # frames that wait for the encoder


@dataclass(frozen=True)
class ClipResult:
    """Report the result of one clip.

    rate             frames a second, as a fraction.
    frames           frames of the result; `resumed_at` of them were made by an earlier run.
    frames_computed  frames that went through the network in this run; `frames_reused` equaled the frame before them.
    tiles_computed   tiles that went through the network in this run; `tiles_reused` were found in the cache.
    fps              frames of the result made a second, reused ones included.
    notes            what was changed or lost; `damage` is what could not be read, with its times.
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
    resumed_at: int
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


class Listener(Protocol):
    """Receive the events of upscale_clips()."""

    def planned(self, plan: VideoPlan, seconds: float | None) -> None:
        """Handle a clip that is about to be upscaled, in at most `seconds` of computation (None for short work)."""

    def progress(self, report: Progress) -> None:
        """Handle the progress of that clip."""

    def done(self, result: ClipResult) -> None:
        """Handle a result."""

    def failed(self, path: Path, error: EsrtError) -> None:
        """Handle a clip that could not be planned or upscaled."""

    def stopped(self, frames: int) -> None:
        """Handle a signal that stops the clip; a later run can resume after `frames`."""

    def note(self, text: str) -> None:
        """Handle a note about the inputs or the weights."""


def upscale_clips(inputs: Sequence[str], options: VideoOptions, listener: Listener, *, dry_run: bool = False) -> None:
    """Plan and upscale clips and folders of them one by one; those that fail are reported and do not stop the others.

    With `dry_run`, clips are only planned.

    Raises: OptionError if an input or an option is invalid, WeightsError if the weights are unknown.
    """
    clips = find_clips(inputs, options)
    for text in skipped_files(inputs):
        listener.note(text)
    options = replace(options, many=options.many or is_many(inputs, options))
    devices = named_devices(options.devices or (options.engine.device,))
    pool, *others = (UpscalerPool(options.model, replace(options.engine, device=device)) for device in devices)
    for note in pool.notes:
        listener.note(note)
    for path in clips:
        target = decide_clip_target(path, options)
        if len(clips) > 1 and target.is_file() and not options.overwrite:
            listener.note(f"{path}: skipped, {target} exists; use --overwrite to make it again")
            continue
        try:
            _upscale_one(path, options, (pool, *others), listener, dry_run)
        except StopError:
            raise
        except EsrtError as error:
            listener.failed(path, error)


def _upscale_one(
    path: Path, options: VideoOptions, pools: Sequence[UpscalerPool], listener: Listener, dry_run: bool
) -> None:
    plan = prepare_clip(path, options, pools[0])
    seconds = most_seconds(plan, pools[0])
    listener.planned(plan, None if seconds is None else seconds / len(pools))
    if dry_run:
        return
    try:
        result = upscale_clip(plan, pools[0], listener.progress, pools[1:])
    except BaseException as error:
        if not isinstance(error, Exception):  # a signal
            listener.stopped(finished_frames(plan.work))
        raise
    listener.done(result)


def prepare_clip(path: Path, options: VideoOptions, pool: UpscalerPool) -> VideoPlan:
    """Probe and plan a clip, and test encoder and muxer on two frames.

    Raises: MediaError, OptionError or TargetError, in one line, if the work would fail later.
    """
    clip = probe_clip(path)
    work = work_folder(decide_clip_target(path, options))
    threads = earlier_threads(work) or _cores()
    chain = _choose_chain(clip, options, pool, None if options.restart else ResumeLog(work).header())
    return check_encoder(plan_clip(clip, options, pool.selector.only(chain), threads))


def _choose_chain(clip: ClipInfo, options: VideoOptions, pool: UpscalerPool, earlier: Header | None) -> ModelChain:
    """Return the chain that suits some frames of a clip, or that of unfinished work."""
    selector = pool.selector if options.strength is None else pool.selector.blend(options.strength)
    if options.request.cleans_up and options.strength is None:
        selector = selector.for_cleaning()
    if not selector.others:
        return selector.plain
    if earlier is not None:
        for chain in selector.all():
            if earlier.model == hashes_of(pool.for_chain(chain), earlier.size[0]):
                return replace(chain, reason="as in the earlier run")
    width = plan_clip_size(clip, options, selector.plain).width
    frames = sample_frames(clip, LOOKED_AT)
    return selector.choose(frames, container_of_clip(clip), Fraction(width, clip.video.width))


def upscale_clip(
    plan: VideoPlan,
    pool: UpscalerPool,
    progress: ProgressCallback = ignore_progress,
    others: Sequence[UpscalerPool] = (),
) -> ClipResult:
    """Upscale the clip of a plan, or resume an earlier run.

    Finished segments stay in the plan's work folder until the result is complete under its name. `others` are pools of
    further devices of the same kind, which take a share of the frames.

    Raises: OptionError if that folder contains work on another source or with other options; MediaError or TargetError
    if the clip cannot be decoded, encoded or written.
    """
    started = time.perf_counter()
    make_folder(plan.target.parent)
    with locked(plan.work):
        remove_parts(plan.work)
        resume_log = ResumeLog(plan.work)
        done = begin_or_resume(resume_log, header_of(plan, pool.for_chain(plan.chain)), plan.options.restart)
        pools = [_with_tile(plan, each.for_chain(plan.chain), done) for each in (pool, *others)]
        work = FrameUpscaler(pools, plan.frame_size, plan.options.reuse)
        _make_segments(plan, work, resume_log, done, progress)
        segments = resume_log.segments()
        if not segments:
            raise MediaError(f"{plan.clip.path}: no frame could be decoded")
        damage, notes = _mux(plan, segments)
    remove(plan.work)
    result = _result(plan, pools, work, segments, done, time.perf_counter() - started)
    return replace(result, notes=(*result.notes, *notes), damage=(*result.damage, *damage))


def _cores() -> int:
    return min(os.cpu_count() or 1, MAX_THREADS)


def _with_tile(plan: VideoPlan, pool: UpscalerPool, done: list[Segment]) -> UpscalerPool:
    """Return a pool with the smaller tile to which an earlier run fell back when memory ran out."""
    if not done or not done[-1].tile:
        return pool
    video = plan.clip.video
    steps = enumerate(zip(plan.size.passes, plan.size.entering(video.width, video.height), strict=True))
    planned = min(pool.upscaler(scale, index).plan(*size).tile for index, (scale, size) in steps)
    if done[-1].tile >= planned:
        return pool
    smaller = replace(pool.options, tile=max(done[-1].tile, MIN_TILE))
    return UpscalerPool(pool.selector.requested, smaller).for_chain(plan.chain)


def _make_segments(
    plan: VideoPlan, work: FrameUpscaler, resume_log: ResumeLog, done: list[Segment], progress: ProgressCallback
) -> None:
    number = done[-1].first + done[-1].slots if done else 0
    if number and not plan.timeline.keep and number >= plan.slots:
        return
    resume_point = ResumePoint(done[-1].source_tick, done[-1].check) if done else None
    log = DamageLog(resume_point.tick if resume_point else plan.timeline.first_tick)
    writer = SegmentWriter(resume_log, plan.encode, plan.segment_slots, log.drain)
    report = _Report(plan, work, number, progress)
    source = _slots(plan, resume_point, number, log)
    with prefetch(source, _READ_AHEAD) as slots, consume_in_background(writer, _WRITE_BEHIND) as write:
        for group in _groups(slots, work.group_size(plan.clip.video.width, plan.clip.video.height)):
            for frame in work(group):
                write(frame)
            report(group[-1].number + 1)


def _slots(plan: VideoPlan, resume_point: ResumePoint | None, number: int, log: DamageLog) -> Generator[Slot]:
    timeline = plan.timeline
    frames = frames_from(plan.clip, plan.read, timeline.first_tick, resume_point, log.on_error)

    def logged() -> Iterator[ClipFrame]:
        for frame in frames:
            log.advance(frame.tick)
            yield frame

    with closing(frames):
        yield from slots_of(logged(), timeline, number)


def _groups(slots: Iterator[Slot], size: int) -> Iterator[list[Slot]]:
    while group := list(itertools.islice(slots, size)):
        yield group


class _Report:
    """Report the progress: frames, segment, and the share that was reused."""

    def __init__(self, plan: VideoPlan, work: FrameUpscaler, first: int, progress: ProgressCallback) -> None:
        self._plan = plan
        self._work = work
        self._segments = -(-plan.slots // plan.segment_slots)
        self._progress = progress
        self(first)

    def __call__(self, done: int) -> None:
        """Report that this many frames of the result are done."""
        segment = min(done // self._plan.segment_slots + 1, self._segments)
        stage = f"segment {segment}/{self._segments}, {self._work.share_reused:.0%} reused"
        self._progress(Progress(stage, done, self._plan.slots, "frames"))


def _mux(plan: VideoPlan, segments: list[Segment]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Mux the segments into the target of a plan, and return how it differs from the plan: (damage, notes)."""
    unit = plan.encode.time_base
    starts = [segment.start * unit for segment in segments]
    ends = [*starts[1:], segments[-1].end * unit]
    pieces = [
        SegmentFile(plan.work / segment.name, start - starts[0], end - starts[0])
        for segment, start, end in zip(segments, starts, ends, strict=True)
    ]
    listing = plan.work / LIST_NAME
    write_list(listing, pieces)
    request = replace(plan.mux, offset=plan.mux.offset + starts[0])
    frames = sum(segment.slots for segment in segments)
    with atomic_write(plan.target, plan.options.overwrite) as temporary:
        if plan.options.preview:
            mux_preview(listing, temporary, request, plan.encode, preview_read(plan), frames)
            return (), ()
        captions = _captions(plan) if request.captions else None
        mux(listing, temporary, request, captions)
        expected = Expected(request, frames, ends[-1] - starts[0], captions is not None)
        return differences(temporary, plan, expected)


def _captions(plan: VideoPlan) -> Path | None:
    file = plan.work / CAPTIONS_NAME
    return file if write_captions(plan.clip, file, plan.mux.start, plan.mux.duration) else None


def _result(
    plan: VideoPlan,
    pools: Sequence[UpscalerPool],
    work: FrameUpscaler,
    segments: list[Segment],
    done: list[Segment],
    seconds: float,
) -> ClipResult:
    engine = pools[0].upscaler(plan.size.passes[0])
    video, made = plan.clip.video, work.frames_computed + work.frames_reused
    messages = tuple(line for segment in segments for line in segment.damage)
    damage, notes = damage_report(plan.clip, messages)
    return ClipResult(
        source=str(plan.clip.path),
        target=str(plan.target),
        codec=plan.codec.name,
        encoder=plan.encoder.name,
        pixels=plan.encode.pixels,
        source_size=(video.width, video.height),
        size=(plan.encode.width, plan.encode.height),
        rate=str(Fraction(plan.timeline.rate)),
        frames=sum(segment.slots for segment in segments),
        resumed_at=sum(segment.slots for segment in done),
        frames_computed=work.frames_computed,
        frames_reused=work.frames_reused,
        tiles_computed=work.tiles_computed,
        tiles_reused=work.tiles_reused,
        share_reused=round(work.share_reused, 4),
        model=pools[0].model,
        reason=plan.chain.reason,
        device=", ".join(pool.upscaler(plan.size.passes[0]).device_name for pool in pools),
        precision=engine.precision_for(plan.size.depth_between(plan.encode.layout.depth)),
        tile=work.tile,
        seconds=round(seconds, 3),
        fps=round(made / seconds, 3),
        notes=(*plan.notes, *work.notes, *notes),
        damage=damage,
    )


def most_seconds(plan: VideoPlan, pool: UpscalerPool) -> float | None:
    """Return the seconds of computation if no frame is reused, None for short work; the first call times one tile."""
    video = plan.clip.video
    frames = min(plan.slots, video.timing.frames)
    if frames * video.width * video.height < LONG:
        return None
    seconds, width, height = 0.0, video.width, video.height
    pool = pool.for_chain(plan.chain)
    for pass_index, scale in enumerate(plan.size.passes):
        seconds += pool.upscaler(scale, pass_index).estimate_seconds(width, height)
        width, height = width * scale, height * scale
    return seconds * frames


class SegmentWriter:
    """Encode the frames of a result into segments, and record each finished one; called in a thread of its own."""

    def __init__(
        self, resume_log: ResumeLog, settings: EncodeSettings, slots: int, damage: Callable[[], tuple[str, ...]]
    ) -> None:
        self._resume_log = resume_log
        self._settings = settings
        self._slots = slots
        self._damage = damage

    def __call__(self, frames: Iterator[DoneFrame]) -> None:
        """Encode all segments; frames come in order, and the first one begins a segment.

        Raises: TargetError if the work folder cannot be written, MediaError if the encoder fails.
        """
        for number, group in itertools.groupby(frames, lambda frame: frame.number // self._slots):
            try:
                self._resume_log.add(self._make(number, group))
            except OSError as error:
                raise TargetError(
                    f"cannot write {self._resume_log.folder}: {error.strerror}; rerun to resume"
                ) from error

    def _make(self, number: int, frames: Iterator[DoneFrame]) -> Segment:
        name = segment_name(number, self._settings)
        part = self._resume_log.folder / f"{name}.{secrets.token_hex(4)}{_PART}"
        first = last = next(frames)
        count = reused = 0
        with FrameWriter(part, self._settings) as writer:
            for frame in itertools.chain([first], frames):
                writer.write(frame.data, frame.tick - first.tick, frame.length)
                count, reused, last = count + 1, reused + frame.reused, frame
            writer.finish()
        _publish(part, self._resume_log.folder / name)
        file = self._resume_log.folder / name
        return Segment(
            number, name, first.number, count, first.tick, last.tick + last.length, file.stat().st_size, digest(file),
            last.source_tick, last.check, last.tile, reused, self._damage(),
        )  # fmt: skip


def remove_parts(folder: Path) -> None:
    """Remove the files that an earlier run was still encoding when it ended."""
    for part in folder.glob(f"*{_PART}"):
        part.unlink(missing_ok=True)


def _publish(part: Path, file: Path) -> None:
    """Flush a complete file to the disk and rename it: a power cut leaves the complete file or none."""
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.replace(file)
