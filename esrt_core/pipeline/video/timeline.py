"""Timeline: which source frame the result shows when, in exact integers and fractions."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from esrt_core.media.video.reader import ClipFrame
from esrt_core.media.video.timing import Timing

_MIN_TICKS = 90_000  # a second, so that rounding an offset to a tick is not visible


@dataclass(frozen=True)
class Timeline:
    """Map the frames of a clip, or of a part of it, to the result.

    A slot is one frame of the result. At a constant rate, slot n of the clip is shown n / rate after the first frame
    and contains the frame nearest to that time; otherwise every frame has one slot, at its own time. The names of the
    fields are part of the resume log's header.

    time_base   seconds of one tick of the clip.
    unit        seconds of one tick of the result.
    rate        frames a second; the mean if frames keep their own times.
    keep        frames keep their own times.
    begin, end  the part to make, `end` excluded: slots at a constant rate, otherwise ticks after the first frame.
    close       tick at which the clip's last frame ends.
    """

    time_base: Fraction
    unit: Fraction
    rate: Fraction
    keep: bool
    begin: int
    end: int
    close: int

    @property
    def offset(self) -> Fraction:
        """Seconds from the clip's first frame to the start of the result's first slot."""
        return self.begin * self.time_base if self.keep else self.begin / self.rate

    @property
    def first_tick(self) -> int:
        """The source's tick at which the part begins."""
        return self.begin if self.keep else int(self.begin / self.rate / self.time_base)

    @property
    def slots(self) -> int:
        """The number of frames of the result; an estimate if frames keep their own times."""
        return (
            max(round(self.rate * self.time_base * (self.end - self.begin)), 1) if self.keep else self.end - self.begin
        )

    def slot(self, tick: int) -> int:
        """Return the slot nearest to a tick, at a constant rate."""
        return math.floor(tick * self.time_base * self.rate + Fraction(1, 2))

    def out_tick(self, position: int) -> int:
        """Return the result's tick of a slot, or of a source tick if frames keep their own times."""
        seconds = (position - self.begin) * (self.time_base if self.keep else 1 / self.rate)
        return round(seconds / self.unit)


@dataclass(frozen=True)
class Slot:
    """Hold one frame of the result: its number, its time and length in the result's ticks, and the source frame."""

    number: int
    tick: int
    length: int
    frame: ClipFrame


def make_timeline(timing: Timing, keep: bool, start: Fraction, end: Fraction | None) -> Timeline:
    """Return the timeline from `start` to `end`, in seconds after the clip's first frame; both may be outside of it."""
    keep = keep and timing.variable
    length = timing.end - timing.first
    if keep:
        mean = Fraction(timing.frames) / timing.duration
        unit = timing.time_base / max(math.ceil(_MIN_TICKS * timing.time_base), 1)
        first = max(math.ceil(start / timing.time_base), 0)
        last = length if end is None else min(math.ceil(end / timing.time_base), length)
        return Timeline(timing.time_base, unit, mean.limit_denominator(1001), True, first, last, length)
    rate = timing.rate
    unit = Fraction(1, rate.numerator * math.ceil(Fraction(_MIN_TICKS, rate.numerator)))
    last_slot = math.floor((timing.last - timing.first) * timing.time_base * rate + Fraction(1, 2))
    slots = max(math.floor(timing.duration * rate + Fraction(1, 2)), last_slot + 1)  # a short last frame is shown too
    first = max(math.ceil(start * rate), 0)
    last = slots if end is None else min(math.ceil(end * rate), slots)
    return Timeline(timing.time_base, unit, rate, False, first, last, length)


def slots_of(frames: Iterator[ClipFrame], timeline: Timeline, number: int = 0) -> Iterator[Slot]:
    """Yield the slots of a timeline in order, from `number` on.

    `frames` come in increasing order. They may begin later than the clip, but must include all frames that slots from
    `number` on show; if frames keep their own times, the first one must be that of slot `number` - 1, or of slot 0.
    """
    slots = _one_slot_per_frame if timeline.keep else _constant_rate
    return (slot for slot in slots(frames, timeline, number) if slot.number >= number)


def _one_slot_per_frame(frames: Iterator[ClipFrame], timeline: Timeline, number: int) -> Iterator[Slot]:
    count = max(number - 1, 0)
    for frame, following in _with_next(frames):
        if frame.tick >= timeline.end:
            return
        if frame.tick < timeline.begin:
            continue
        stop = timeline.close if following is None else following
        tick = timeline.out_tick(frame.tick)
        yield Slot(count, tick, max(timeline.out_tick(min(stop, timeline.end)) - tick, 1), frame)
        count += 1


def _constant_rate(frames: Iterator[ClipFrame], timeline: Timeline, number: int) -> Iterator[Slot]:
    next_slot = timeline.begin if number == 0 else None  # a late first frame is shown from the beginning
    for frame, following in _with_next(frames):
        begin = timeline.slot(frame.tick) if next_slot is None else min(timeline.slot(frame.tick), next_slot)
        stop = timeline.end if following is None else min(timeline.slot(following), timeline.end)
        for slot in range(max(begin, timeline.begin), stop):
            tick = timeline.out_tick(slot)
            yield Slot(slot - timeline.begin, tick, timeline.out_tick(slot + 1) - tick, frame)
        next_slot = max(stop, timeline.begin)
        if next_slot >= timeline.end:
            return


def _with_next(frames: Iterator[ClipFrame]) -> Iterator[tuple[ClipFrame, int | None]]:
    """Yield every frame with the tick of the next one, or None after the last."""
    previous: ClipFrame | None = None
    for frame in frames:
        if previous is not None:
            yield previous, frame.tick
        previous = frame
    if previous is not None:
        yield previous, None
