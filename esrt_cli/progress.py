"""The progress line of long work: it fits the terminal by dropping words before figures, and figures last.

Count, rate and time left stay visible in 40 columns. The bar has no color, so that it is readable on any background.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esrt_cli.figures import counted, rate, size, time_left
from esrt_cli.signals import Interrupted
from esrt_core.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from rich.text import Text

    from esrt_cli.console import Console

MIN_BAR, MAX_BAR = 8, 30
EVENT_SECONDS = 0.2  # between two progress events
Clock = Callable[[], float]


@dataclass(frozen=True)
class State:
    """Hold how far some work is.

    per_second    of `unit`, None before it is known; what failed does not count.
    seconds_left  None before it is known.
    share         0..1 of the work, which need not be that of the count.
    extras        further words, each in a long and a short form, the most important first.
    """

    done: int
    total: int
    unit: str
    per_second: float | None
    seconds_left: float | None
    share: float
    extras: tuple[tuple[str, str], ...] = ()


def line(state: State, width: int, full: str = "#", empty: str = ".") -> str:
    """Return the progress as a line of at most `width` characters, with a bar if there is room for one."""
    every = list(forms(state))
    text = next((form for form in every[:-1] if len(form) + MIN_BAR < width), "")
    if not text:
        return next((form for form in every if len(form) <= width), every[-1])[:width]
    length = min(width - len(text) - 1, MAX_BAR)
    filled = round(length * min(max(state.share, 0.0), 1.0))
    return f"{full * filled}{empty * (length - filled)} {text}"


def forms(state: State) -> Iterator[str]:
    """Yield the text of a progress line from the longest form to the shortest."""
    words, short = ("", "") if not state.per_second else rate(state.per_second)
    left, clock = ("", "") if state.seconds_left is None else time_left(state.seconds_left)
    if state.unit == "bytes":
        count = brief = f"{size(state.done)} of {size(state.total)}"
        words = short = f"{size(state.per_second or 0)}/s"
    else:
        count, brief = f"{state.done:,} of {state.total:,} {state.unit}", f"{state.done}/{state.total}"
    left = left and f"{left} left"
    yield _joined([count, words, left, *(extra for extra, _ in state.extras)], ", ")
    for head in ([count, short, left], [brief, short, left], [brief, short, clock and f"{clock} left"]):
        for kept in range(len(state.extras), -1, -1):
            if kept or not state.extras or head[0] == brief:
                yield _joined([*head, *(extra for _, extra in state.extras[:kept])], ", ")
    yield _joined([brief, short, clock], " ")


def _joined(parts: Sequence[str], by: str) -> str:
    return by.join(part for part in parts if part)


class Speed:
    """Measure the speed of a count since its first report: what an earlier run did is not speed."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._start: tuple[float, int] | None = None

    def __call__(self, report: Progress, extras: tuple[tuple[str, str], ...] = ()) -> State:
        """Return the state that a report means now."""
        now = self._clock()
        if self._start is None:
            self._start = (now, report.done)
        began, first = self._start
        made, seconds = report.done - first, now - began
        per_second = made / seconds if made > 0 and seconds > 0 else None
        left = (report.total - report.done) / per_second if per_second and report.total else None
        share = report.done / report.total if report.total else 0.0
        return State(report.done, report.total, report.unit, per_second, left, share, extras)


Show = Callable[[State], None]


@contextmanager
def progress_line(console: Console, source: str | None = None, clock: Clock = time.monotonic) -> Iterator[Show]:
    """Show states during the block: as a line on a terminal, as events if those are wanted, else not at all.

    An interruption learns how far the work was.
    """
    shown: list[tuple[State, float]] = []
    sent = [-EVENT_SECONDS]

    def show(state: State) -> None:
        now = clock()
        shown[:] = [(state, now)]
        if console.events and (now - sent[0] >= EVENT_SECONDS or state.done == state.total):
            sent[0] = now
            console.event("progress", source=source, **event_values(state))

    def text() -> Text:
        from rich.text import Text

        if not shown:
            return Text("")
        state, at = shown[0]
        if state.seconds_left is not None:
            state = _later(state, clock() - at)
        bar = "█░" if _can_print("█░") else "#."
        return Text(line(state, _width(), *bar), no_wrap=True, overflow="crop")

    try:
        if console.shows_progress() and not console.events:
            with console.live(get_renderable=text, refresh_per_second=4):
                yield show
        else:
            yield show
    except Interrupted as stop:
        if shown and not stop.reached:
            state = shown[0][0]
            stop.reached = f"{state.done:,} of {counted(state.total, state.unit)}"
        raise


def event_values(state: State) -> dict[str, object]:
    """Return a state as the values of an event."""
    return {
        "done": state.done,
        "total": state.total,
        "unit": state.unit,
        "share": round(state.share, 4),
        "per_second": None if state.per_second is None else round(state.per_second, 4),
        "seconds_left": None if state.seconds_left is None else round(state.seconds_left, 1),
        "text": ", ".join(words for words, _ in state.extras),
    }


@contextmanager
def progress_bar(console: Console, source: str | None = None) -> Iterator[ProgressCallback]:
    """Show the reports of the core during the block."""
    speed = Speed()
    with progress_line(console, source) as show:
        yield lambda report: show(speed(report))


def _later(state: State, seconds: float) -> State:
    from dataclasses import replace

    return replace(state, seconds_left=max((state.seconds_left or 0.0) - seconds, 0.0))


def _width() -> int:
    from esrt_cli.console import columns

    return columns(sys.stderr) - 1  # a full last column wraps on some terminals


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
