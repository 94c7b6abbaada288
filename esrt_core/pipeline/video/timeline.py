"""Timeline: which frame is shown when in the result. Exact integers and fractions, no pixel is touched."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from esrt_core.media.video.reader import ClipFrame
from esrt_core.media.video.timing import Timing

_FINE = 90_000  # ticks a second at least, so that rounding an offset to a tick moves nothing


@dataclass(frozen=True)
class Timeline:
    """Place the frames of a clip, or of a part of it, in the result.

    A slot is one frame of the result. At a constant rate, slot n of the clip is shown n / rate after the first frame
    and holds the frame nearest to that time; else every frame has one slot, at its own time.

    time_base   seconds of one tick of the clip.
    unit        seconds of one tick of the result.
    rate        frames a second, the mean where frames keep their own times.
    keep        frames keep their own times.
    begin, end  the part to make: slots at a constant rate, else ticks after the first frame; `end` is left out.
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
        """Seconds from the clip's first frame to the earliest moment of the result's first slot."""
        return self.begin * self.time_base if self.keep else self.begin / self.rate

    @property
    def slots(self) -> int:
        """Frames of the result; where frames keep their own times, as many as are expected."""
        return (
            max(round(self.rate * self.time_base * (self.end - self.begin)), 1) if self.keep else self.end - self.begin
        )

    def slot(self, tick: int) -> int:
        """Return the slot nearest to a tick, at a constant rate."""
        return math.floor(tick * self.time_base * self.rate + Fraction(1, 2))

    def out_tick(self, place: int) -> int:
        """Return the result's tick of a slot, or of a frame's tick, counted from `begin`."""
        seconds = (place - self.begin) * (self.time_base if self.keep else 1 / self.rate)
        return round(seconds / self.unit)


@dataclass(frozen=True)
class Slot:
    """Hold one frame of the result: its number, its time and length in the result's ticks, and what it shows."""

    number: int
    tick: int
    length: int
    frame: ClipFrame


def make_timeline(timing: Timing, keep: bool, start: Fraction, end: Fraction | None) -> Timeline:
    """Return the timeline from `start` to `end`, in seconds after the clip's first frame (both may lie outside)."""
    keep = keep and timing.variable
    length = timing.end - timing.first
    if keep:
        mean = Fraction(timing.frames) / timing.duration
        unit = timing.time_base / max(math.ceil(_FINE * timing.time_base), 1)
        first = max(math.ceil(start / timing.time_base), 0)
        last = length if end is None else min(math.ceil(end / timing.time_base), length)
        return Timeline(timing.time_base, unit, mean.limit_denominator(1001), True, first, last, length)
    rate = timing.rate
    unit = Fraction(1, rate.numerator * math.ceil(Fraction(_FINE, rate.numerator)))
    slots = max(math.floor(timing.duration * rate + Fraction(1, 2)), 1)
    first = max(math.ceil(start * rate), 0)
    last = slots if end is None else min(math.ceil(end * rate), slots)
    return Timeline(timing.time_base, unit, rate, False, first, last, length)


def slots_of(frames: Iterator[ClipFrame], timeline: Timeline, number: int = 0) -> Iterator[Slot]:
    """Yield the slots of a timeline in order, those before `number` left out.

    `frames` come in rising order. They may begin later than the clip does, as long as those that slots from `number` on
    show are among them; where frames keep their own times, the first one must be that of slot `number` - 1, or of 0.
    """
    place = _kept if timeline.keep else _spread
    return (slot for slot in place(frames, timeline, number) if slot.number >= number)


def _kept(frames: Iterator[ClipFrame], timeline: Timeline, number: int) -> Iterator[Slot]:
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


def _spread(frames: Iterator[ClipFrame], timeline: Timeline, number: int) -> Iterator[Slot]:
    place = timeline.begin if number == 0 else None  # a first frame that comes late is shown from the beginning
    for frame, following in _with_next(frames):
        begin = timeline.slot(frame.tick) if place is None else min(timeline.slot(frame.tick), place)
        stop = timeline.end if following is None else min(timeline.slot(following), timeline.end)
        for slot in range(max(begin, timeline.begin), stop):
            tick = timeline.out_tick(slot)
            yield Slot(slot - timeline.begin, tick, timeline.out_tick(slot + 1) - tick, frame)
        place = max(stop, timeline.begin)
        if place >= timeline.end:
            return


def _with_next(frames: Iterator[ClipFrame]) -> Iterator[tuple[ClipFrame, int | None]]:
    """Yield every frame with the tick of the next."""
    held: ClipFrame | None = None
    for frame in frames:
        if held is not None:
            yield held, frame.tick
        held = frame
    if held is not None:
        yield held, None
