from fractions import Fraction

import numpy as np

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.video.reader import ClipFrame
from esrt_core.media.video.timing import Timing
from esrt_core.pipeline.video.timeline import Timeline, make_timeline, slots_of

BASE = Fraction(1, 1000)
NTSC = Fraction(24000, 1001)


def frames(ticks: list[int]) -> list[ClipFrame]:
    plane = np.zeros((2, 2), np.uint8)
    return [ClipFrame(tick, plane.reshape(-1), Frame((plane,), ColorSpace.GRAY)) for tick in ticks]


def timeline(ticks: list[int], rate: Fraction, keep: bool = False, variable: bool = True) -> Timeline:
    timing = Timing(BASE, ticks[0], ticks[-1], ticks[-1] + 40, len(ticks), rate, variable)
    return make_timeline(timing, keep, Fraction(0), None)


def shown(ticks: list[int], line: Timeline, number: int = 0) -> list[tuple[int, int]]:
    return [(slot.number, slot.frame.tick) for slot in slots_of(iter(frames(ticks)), line, number)]


def test_a_constant_rate_shows_every_frame_once_at_exact_times() -> None:
    ticks = [round(i / NTSC / BASE) for i in range(100)]
    slots = list(slots_of(iter(frames(ticks)), timeline(ticks, NTSC, variable=False)))
    unit = timeline(ticks, NTSC).unit
    assert [slot.frame.tick for slot in slots] == ticks
    assert [slot.tick * unit for slot in slots] == [i / NTSC for i in range(100)]
    assert {slot.length * unit for slot in slots} == {1 / NTSC}


def test_a_gap_is_filled_by_the_frame_before_it() -> None:
    ticks = [0, 40, 160, 200]
    assert shown(ticks, timeline(ticks, Fraction(25))) == [(0, 0), (1, 40), (2, 40), (3, 40), (4, 160), (5, 200)]


def test_of_two_frames_in_one_slot_the_later_is_shown() -> None:
    ticks = [0, 40, 50, 80]
    assert shown(ticks, timeline(ticks, Fraction(25))) == [(0, 0), (1, 50), (2, 80)]


def test_frames_that_keep_their_times_are_shown_once_each() -> None:
    ticks = [0, 33, 100, 117]
    line = timeline(ticks, Fraction(30), keep=True)
    slots = list(slots_of(iter(frames(ticks)), line))
    assert [slot.tick * line.unit for slot in slots] == [tick * BASE for tick in ticks]
    assert [slot.length * line.unit for slot in slots] == [Fraction(n, 1000) for n in (33, 67, 17, 40)]


def test_going_on_gives_what_was_left() -> None:
    ticks = [0, 40, 160, 200, 400]
    constant, kept = timeline(ticks, Fraction(25)), timeline(ticks, Fraction(25), keep=True)
    whole = shown(ticks, constant)
    for number in range(1, len(whole)):
        last = whole[number - 1][1]
        assert shown([tick for tick in ticks if tick >= last], constant, number) == whole[number:]
    for number in range(1, len(ticks)):
        left = shown(ticks[number - 1 :], kept, number)
        assert left == list(enumerate(ticks))[number:]


def test_a_first_frame_that_is_missing_is_replaced_by_the_next() -> None:
    line = timeline([0, 40, 80, 120], Fraction(25))
    assert shown([80, 120], line) == [(0, 80), (1, 80), (2, 80), (3, 120)]


def test_a_part_begins_and_ends_on_the_grid() -> None:
    ticks = list(range(0, 400, 40))
    timing = Timing(BASE, 0, 360, 400, 10, Fraction(25), variable=False)
    line = make_timeline(timing, False, Fraction(1, 10), Fraction(3, 10))
    assert line.offset == Fraction(3, 25)
    assert shown(ticks, line) == [(0, 120), (1, 160), (2, 200), (3, 240), (4, 280)]


def test_only_a_variable_rate_keeps_its_times() -> None:
    assert not timeline([0, 40, 80], Fraction(25), keep=True, variable=False).keep
