"""Run the plan of one clip: decode, upscale, encode in segments, mux. A finished segment is never lost.

A frame that equals the frame before it is not computed again.
"""

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
from typing import TYPE_CHECKING

import numpy as np

from esrt_core.errors import MediaError, TargetError
from esrt_core.files import atomic_write, make_folder
from esrt_core.media.alpha import bleed
from esrt_core.media.frame import Frame
from esrt_core.media.video.clip import ClipInfo, frame_bytes
from esrt_core.media.video.damage import DamageLog, damage_report
from esrt_core.media.video.mux import LIST_NAME, SegmentFile, mux, mux_preview, write_captions, write_list
from esrt_core.media.video.probe import probe_clip
from esrt_core.media.video.reader import ClipFrame, sample_frames
from esrt_core.media.video.writer import EncodeSettings, FrameWriter
from esrt_core.pipeline.image.run import LONG
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.plan import VideoPlan, decide_clip_target, plan_clip, plan_clip_size, work_folder
from esrt_core.pipeline.video.preflight import check_encoder, preview_read, segment_name
from esrt_core.pipeline.video.resume import (
    EarlierWeights,
    ResumeLog,
    ResumePoint,
    Segment,
    begin_or_resume,
    checksum,
    digest,
    earlier_threads,
    earlier_weights,
    frames_from,
    header_of,
    locked,
    remove,
)
from esrt_core.pipeline.video.timeline import Slot, slots_of
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.selection import ModelChain, UpscalerPool, container_of_clip
from esrt_core.system.threads import consume_in_background, prefetch

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler

LOOKED_AT = 5  # frames, spread over the clip, by which the weights are chosen
_PART = ".part"  # suffix of a segment that is being encoded
_MAX_THREADS = 16
_READ_AHEAD = 4  # frames decoded ahead of the network
_WRITE_BEHIND = 4  # frames that wait for the encoder
_GROUP_PIXELS = 8_000_000  # enough that a GPU receives one frame while it computes another
_MAX_GROUP = 8  # frames; the most that are lost when the work is stopped


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


def prepare_clip(path: Path, options: VideoOptions, pool: UpscalerPool) -> VideoPlan:
    """Probe and plan a clip, and test encoder and muxer on two frames.

    Raises: MediaError, OptionError or TargetError, in one line, if the work would fail later.
    """
    clip = probe_clip(path)
    work = work_folder(decide_clip_target(clip, options))
    threads = earlier_threads(work) or _cores()
    chain = _choose_chain(clip, options, pool, None if options.restart else earlier_weights(work))
    return check_encoder(plan_clip(clip, options, pool.selector.only(chain), threads))


def _choose_chain(
    clip: ClipInfo, options: VideoOptions, pool: UpscalerPool, earlier: EarlierWeights | None
) -> ModelChain:
    """Return the chain that suits some frames of a clip, or that of unfinished work."""
    selector = pool.selector
    if not selector.others:
        return selector.plain
    if earlier is not None:
        for chain in selector.all():
            if earlier.hashes == pool.for_chain(chain).hashes(earlier.passes):
                return replace(chain, reason="as in the earlier run")
    width = plan_clip_size(clip, options, selector.plain).width
    return selector.choose(sample_frames(clip, LOOKED_AT), container_of_clip(clip), Fraction(width, clip.video.width))


def upscale_clip(plan: VideoPlan, pool: UpscalerPool, progress: ProgressCallback = ignore_progress) -> ClipResult:
    """Upscale the clip of a plan, or resume an earlier run.

    Finished segments stay in the plan's work folder until the result is complete under its name.

    Raises: OptionError if that folder contains work on another source or with other options; MediaError or TargetError
    if the clip cannot be decoded, encoded or written.
    """
    started = time.perf_counter()
    make_folder(plan.target.parent)
    with locked(plan.work):
        remove_parts(plan.work)
        resume_log = ResumeLog(plan.work)
        done = begin_or_resume(resume_log, header_of(plan, pool.for_chain(plan.chain)), plan.options.restart)
        pool = _with_tile(plan, pool.for_chain(plan.chain), done)
        work = FrameUpscaler(pool, plan.size.passes, plan.options.reuse)
        _make_segments(plan, work, resume_log, done, progress)
        segments = resume_log.segments()
        if not segments:
            raise MediaError(f"{plan.clip.path}: no frame could be decoded")
        _mux(plan, segments)
    remove(plan.work)
    return _result(plan, pool, work, segments, done, time.perf_counter() - started)


def _cores() -> int:
    return min(os.cpu_count() or 1, _MAX_THREADS)


def _with_tile(plan: VideoPlan, pool: UpscalerPool, done: list[Segment]) -> UpscalerPool:
    """Return a pool with the smaller tile to which an earlier run fell back when memory ran out."""
    if not done or not done[-1].tile:
        return pool
    video = plan.clip.video
    planned = pool.upscaler(plan.size.passes[0]).plan(video.width, video.height).tile
    if done[-1].tile >= planned:
        return pool
    smaller = replace(pool.options, tile=done[-1].tile)
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


def _mux(plan: VideoPlan, segments: list[Segment]) -> None:
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
    with atomic_write(plan.target, plan.options.overwrite) as temporary:
        if plan.options.preview:
            frames = sum(segment.slots for segment in segments)
            mux_preview(listing, temporary, request, plan.encode, preview_read(plan), frames)
        else:
            mux(listing, temporary, request, write_captions(plan.clip, plan.work) if request.captions else None)


def _result(
    plan: VideoPlan,
    pool: UpscalerPool,
    work: FrameUpscaler,
    segments: list[Segment],
    done: list[Segment],
    seconds: float,
) -> ClipResult:
    engine = pool.upscaler(plan.size.passes[0])
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
        size=(plan.encode.final_width, plan.encode.final_height),
        rate=str(Fraction(plan.timeline.rate)),
        frames=sum(segment.slots for segment in segments),
        resumed_at=sum(segment.slots for segment in done),
        frames_computed=work.frames_computed,
        frames_reused=work.frames_reused,
        tiles_computed=work.tiles_computed,
        tiles_reused=work.tiles_reused,
        share_reused=round(work.share_reused, 4),
        model=pool.model,
        reason=plan.chain.reason,
        device=engine.device_name,
        precision=engine.precision,
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


@dataclass(frozen=True)
class DoneFrame:
    """Hold one upscaled frame of the result.

    data          its bytes; the same object again if the frame is repeated.
    tick, length  in the result's ticks.
    check         CRC-32 of the source frame's bytes.
    """

    number: int
    data: bytes
    tick: int
    length: int
    source_tick: int
    check: int
    tile: int
    reused: bool


class FrameUpscaler:
    """Upscale the frames of one clip in order, and count what is computed and what is reused."""

    def __init__(self, pool: UpscalerPool, passes: Sequence[int], reuse: bool = True) -> None:
        self._pool = pool
        self._passes = passes
        self._reuse = reuse
        self._last: ClipFrame | None = None
        self._data = b""
        self._check = 0
        self.tile = 0
        self.frames_computed = 0
        self.frames_reused = 0
        self.tiles_computed = 0
        self.tiles_reused = 0
        self.notes: dict[str, None] = {}

    def group_size(self, width: int, height: int) -> int:
        """Return how many frames of this size (px) to give to the engine at once: more than one only on a GPU."""
        if self._pool.upscaler(self._passes[0]).device_name == "cpu":
            return 1
        return min(max(_GROUP_PIXELS // (width * height), 1), _MAX_GROUP)

    def __call__(self, slots: Sequence[Slot]) -> list[DoneFrame]:
        """Return the upscaled frames of consecutive slots."""
        repeats = [self._repeats_last(slot.frame) for slot in slots]
        results = iter(self._compute([slot.frame for slot, same in zip(slots, repeats, strict=True) if not same]))
        return [self._done(slot, same, results) for slot, same in zip(slots, repeats, strict=True)]

    @property
    def share_reused(self) -> float:
        """The share of the work that was reused, whole frames and tiles of the others: 0 to 1."""
        frames = self.frames_computed + self.frames_reused
        tiles = self.tiles_computed + self.tiles_reused
        if not frames or not tiles:
            return 0.0
        return 1 - (self.frames_computed / frames) * (self.tiles_computed / tiles)

    def _repeats_last(self, frame: ClipFrame) -> bool:
        """Return whether a frame equals the one before it, and remember it for the next."""
        last, self._last = self._last, frame
        return self._reuse and last is not None and (last is frame or np.array_equal(last.data, frame.data))

    def _done(self, slot: Slot, reused: bool, results: Iterator[bytes]) -> DoneFrame:
        if reused:
            self.frames_reused += 1
        else:
            self._data, self._check = next(results), checksum(slot.frame)
            self.frames_computed += 1
        return DoneFrame(
            slot.number, self._data, slot.tick, slot.length, slot.frame.tick, self._check, self.tile, reused
        )

    def _compute(self, sources: Sequence[ClipFrame]) -> list[bytes]:
        frames: Iterator[Frame] = (bleed(source.frame) for source in sources)
        for pass_index, scale in enumerate(self._passes):
            frames = self._upscaled(frames, self._pool.upscaler(scale, pass_index))
        return [frame_bytes(frame) for frame in frames]

    def _upscaled(self, frames: Iterator[Frame], upscaler: Upscaler) -> Iterator[Frame]:
        """Upscale frames one by one on demand, and count."""
        for each in upscaler.upscale_many(frames):
            self.tile = each.tile
            self.tiles_computed += each.computed
            self.tiles_reused += each.reused
            self.notes.update(dict.fromkeys(each.notes))
            yield each.frame


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
