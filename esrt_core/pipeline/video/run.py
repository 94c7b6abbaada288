"""Turn upscaled frames into finished segments: encoded, renamed, noted in the journal, one after the other.

Frames of a clip through the network; one that equals the frame before it is not computed again.

Carry out the plan of one clip: decode, upscale, encode in segments, join. Nothing finished is ever lost.

How long a clip will take at most, asked of the engine before the work.
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
from esrt_core.media.video.clip import frame_bytes
from esrt_core.media.video.damage import DamageLog, damage_report
from esrt_core.media.video.mux import SegmentFile, join, mux_preview, write_list
from esrt_core.media.video.probe import probe_clip
from esrt_core.media.video.reader import ClipFrame
from esrt_core.media.video.writer import EncodeSettings, SegmentWriter
from esrt_core.pipeline.image.run import LONG
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.plan import VideoPlan, decide_clip_target, plan_clip, work_folder
from esrt_core.pipeline.video.preflight import check_encoder
from esrt_core.pipeline.video.resume import (
    ResumeLog,
    ResumePoint,
    Segment,
    begin_or_resume,
    checksum,
    digest,
    earlier_threads,
    frames_from,
    header_of,
    locked,
    remove,
)
from esrt_core.pipeline.video.timeline import Slot, slots_of
from esrt_core.progress import Progress, ProgressCallback, ignore_progress
from esrt_core.selection import UpscalerPool
from esrt_core.system.threads import consume_in_background, prefetch

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler

_PART = ".part"


@dataclass(frozen=True)
class DoneFrame:
    """Hold one upscaled frame of the result.

    data    its bytes; the same object again where the frame is shown again.
    tick, length  in the result's ticks.
    check   a checksum of the source frame's bytes.
    """

    number: int
    data: bytes
    tick: int
    length: int
    source_tick: int
    check: int
    tile: int
    reused: bool


class SegmentRecorder:
    """Consume the frames of a result from a thread of its own."""

    def __init__(
        self, resume_log: ResumeLog, settings: EncodeSettings, slots: int, damage: Callable[[], tuple[str, ...]]
    ) -> None:
        self._journal = resume_log
        self._settings = settings
        self._slots = slots
        self._damage = damage

    def __call__(self, frames: Iterator[DoneFrame]) -> None:
        """Make all segments; frames come in order, and the first one begins a segment."""
        for number, group in itertools.groupby(frames, lambda frame: frame.number // self._slots):
            try:
                self._journal.add(self._make(number, group))
            except OSError as error:
                raise TargetError(
                    f"{self._journal.folder} cannot be written: {error.strerror}; the same command goes on from there"
                ) from error

    def _make(self, number: int, frames: Iterator[DoneFrame]) -> Segment:
        name = f"segment_{number:06d}.nut"
        part = self._journal.folder / f"{name}.{secrets.token_hex(4)}{_PART}"
        first = last = next(frames)
        count = reused = 0
        with SegmentWriter(part, self._settings) as writer:
            for frame in itertools.chain([first], frames):
                writer.write(frame.data, frame.tick - first.tick, frame.length)
                count, reused, last = count + 1, reused + frame.reused, frame
            writer.finish()
        _settle(part, self._journal.folder / name)
        file = self._journal.folder / name
        return Segment(
            number, name, first.number, count, first.tick, last.tick + last.length, file.stat().st_size, digest(file),
            last.source_tick, last.check, last.tile, reused, self._damage(),
        )  # fmt: skip


def remove_parts(folder: Path) -> None:
    """Remove what an earlier run was still encoding when it ended."""
    for part in folder.glob(f"*{_PART}"):
        part.unlink(missing_ok=True)


def _settle(part: Path, file: Path) -> None:
    """Give a whole file its name, for good: a power cut leaves the whole file or none."""
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.replace(file)


_GROUP_PIXELS = 8_000_000  # enough for a GPU to be given one frame while it computes another
_MOST_FRAMES = 8  # at most these are lost when the work is stopped


class FrameUpscaler:
    """Upscale the frames of one clip in order, and count what was computed and what was reused."""

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
        """Return how many frames of this size are worth handing to the engine at once: more than one on a GPU only."""
        if self._pool.upscaler(self._passes[0]).device_name == "cpu":
            return 1
        return min(max(_GROUP_PIXELS // (width * height), 1), _MOST_FRAMES)

    def __call__(self, slots: Sequence[Slot]) -> list[DoneFrame]:
        """Return the upscaled frames of consecutive slots."""
        again = [self._seen(slot.frame) for slot in slots]
        results = iter(self._compute([slot.frame for slot, seen in zip(slots, again, strict=True) if not seen]))
        return [self._done(slot, seen, results) for slot, seen in zip(slots, again, strict=True)]

    @property
    def share_reused(self) -> float:
        """The share of the work that was reused: whole frames, and tiles of the others; 0 to 1."""
        frames = self.frames_computed + self.frames_reused
        tiles = self.tiles_computed + self.tiles_reused
        if not frames or not tiles:
            return 0.0
        return 1 - (self.frames_computed / frames) * (self.tiles_computed / tiles)

    def _seen(self, frame: ClipFrame) -> bool:
        """Say whether a frame equals the one before it, and keep it for the next."""
        last, self._last = self._last, frame
        return self._reuse and last is not None and (last is frame or np.array_equal(last.data, frame.data))

    def _done(self, slot: Slot, seen: bool, results: Iterator[bytes]) -> DoneFrame:
        if seen:
            self.frames_reused += 1
        else:
            self._data, self._check = next(results), checksum(slot.frame)
            self.frames_computed += 1
        return DoneFrame(slot.number, self._data, slot.tick, slot.length, slot.frame.tick, self._check, self.tile, seen)

    def _compute(self, sources: Sequence[ClipFrame]) -> list[bytes]:
        frames: Iterator[Frame] = (bleed(source.frame) for source in sources)
        for place, scale in enumerate(self._passes):
            frames = self._enlarged(frames, self._pool.upscaler(scale, place))
        return [frame_bytes(frame) for frame in frames]

    def _enlarged(self, frames: Iterator[Frame], upscaler: Upscaler) -> Iterator[Frame]:
        """Enlarge frames one by one as they are asked for, and count."""
        for each in upscaler.upscale_many(frames):
            self.tile = each.tile
            self.tiles_computed += each.computed
            self.tiles_reused += each.reused
            self.notes.update(dict.fromkeys(each.notes))
            yield each.frame


_MOST_THREADS = 16
_ROOM_READ = 4  # frames decoded ahead of the network
_ROOM_WRITE = 4  # frames that wait for the encoder


@dataclass(frozen=True)
class ClipResult:
    """Say what became of one clip.

    frames           of the result; `resumed_at` of them were there from an earlier run.
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
    """Probe and plan a clip, and prove the encoder and the muxer on two frames.

    Raise MediaError, OptionError or TargetError, in one line, for whatever would fail later.
    """
    clip = probe_clip(path)
    threads = earlier_threads(work_folder(decide_clip_target(clip, options))) or _cores()
    return check_encoder(plan_clip(clip, options, pool.selector, threads))


def upscale_clip(plan: VideoPlan, pool: UpscalerPool, progress: ProgressCallback = ignore_progress) -> ClipResult:
    """Make the larger clip of a plan, or go on with it where an earlier run ended.

    Finished segments stay in the plan's work folder until the result is complete under its name. Raise OptionError
    where that folder holds work of another source or other options.
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
            raise MediaError(f"{plan.clip.path}: not one frame could be decoded")
        _join(plan, segments)
    remove(plan.work)
    return _result(plan, pool, work, segments, done, time.perf_counter() - started)


def _cores() -> int:
    return min(os.cpu_count() or 1, _MOST_THREADS)


def _with_tile(plan: VideoPlan, pool: UpscalerPool, done: list[Segment]) -> UpscalerPool:
    """Take up the smaller tile that an earlier run fell back to when memory ran out."""
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
    log = DamageLog(resume_point.tick if resume_point else 0)
    maker = SegmentRecorder(resume_log, plan.encode, plan.segment_slots, log.drain)
    report = _Report(plan, work, number, progress)
    source = _slots(plan, resume_point, number, log)
    with prefetch(source, _ROOM_READ) as slots, consume_in_background(maker, _ROOM_WRITE) as hand:
        for group in _groups(slots, work.group_size(plan.clip.video.width, plan.clip.video.height)):
            for frame in work(group):
                hand(frame)
            report(group[-1].number + 1)


def _slots(plan: VideoPlan, resume_point: ResumePoint | None, number: int, log: DamageLog) -> Generator[Slot]:
    timeline = plan.timeline
    first = timeline.begin if timeline.keep else int(timeline.begin / timeline.rate / timeline.time_base)
    frames = frames_from(plan.clip, plan.read, first, resume_point, log.on_error)

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
        SegmentFile(plan.work / segment.name, start - starts[0], end - starts[0])
        for segment, start, end in zip(segments, starts, ends, strict=True)
    ]
    listing = plan.work / "segments.ffconcat"
    write_list(listing, pieces)
    request = replace(plan.join, offset=plan.join.offset + starts[0])
    with atomic_write(plan.target, plan.options.overwrite) as temporary:
        if plan.options.preview:
            mux_preview(listing, temporary, request, plan.encode)
        else:
            join(listing, temporary, request)


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
        notes=(*plan.notes, *work.notes),
        damage=damage_report(plan.clip, complaints),
    )


def most_seconds(plan: VideoPlan, pool: UpscalerPool) -> float | None:
    """Return the seconds of computation where no frame is reused, None for short work; the first call times a tile."""
    video = plan.clip.video
    frames = min(plan.slots, video.timing.frames)
    if frames * video.width * video.height < LONG:
        return None
    seconds, width, height = 0.0, video.width, video.height
    pool = pool.for_chain(plan.chain)
    for place, scale in enumerate(plan.size.passes):
        seconds += pool.upscaler(scale, place).estimate_seconds(width, height)
        width, height = width * scale, height * scale
    return seconds * frames
