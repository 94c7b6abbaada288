"""The progress line: exactly what is shown at 40, 80 and 120 columns."""

import io
import json
import sys

import pytest

from esrt_cli.console import Console
from esrt_cli.progress import Speed, State, line, progress_bar, progress_line
from esrt_cli.signals import Interrupted
from esrt_core.progress import Progress

ONE_FAILED, PIXELS = ("1 failed", "1 failed"), ("14 megapixels per second", "14 MP/s")
REUSED, SEGMENT = ("40% reused", "40% reused"), ("segment 4/50", "segment 4/50")
FOLDER = State(12, 340, "pictures", 1.2, 273.0, 0.25, (ONE_FAILED, PIXELS))
CLIP = State(980, 12_345, "frames", 0.8, 14_210.0, 0.08, (REUSED, SEGMENT))
TILES = State(7, 9, "tiles", 12.0, 0.2, 7 / 9)
BYTES = State(1_500_000, 3_000_000, "bytes", 750_000.0, 2.0, 0.5)


@pytest.mark.parametrize(
    ("state", "width", "shown"),
    [
        (FOLDER, 40, "##....... 12/340, 1.2/s, 4 min 33 s left"),
        (FOLDER, 80, "####.............. 12 of 340 pictures, 1.2/s, 4 min 33 s left, 1 failed, 14 MP/s"),
        (
            FOLDER,
            120,
            "########...................... 12 of 340 pictures, 1.2 per second, 4 min 33 s left, 1 failed, "
            "14 megapixels per second",
        ),
        (CLIP, 24, "980/12345 48/min 3:56:50"),
        (CLIP, 40, "#....... 980/12345, 48/min, 3:56:50 left"),
        (CLIP, 80, "#....... 980 of 12,345 frames, 48/min, 3 h 56 min left, 40% reused, segment 4/50"),
        (
            CLIP,
            120,
            "##............................ 980 of 12,345 frames, 48 per minute, 3 h 56 min left, 40% reused, "
            "segment 4/50",
        ),
        (TILES, 40, "#########.. 7 of 9 tiles, 12/s, 1 s left"),
        (TILES, 80, "#######################....... 7 of 9 tiles, 12 per second, 1 s left"),
        (BYTES, 40, "1.5 MB of 3.0 MB, 750 kB/s, 2 s left"),
        (State(3, 3, "pictures", None, None, 1.0), 40, "######################## 3 of 3 pictures"),
        (State(0, 3, "pictures", None, None, 0.0), 20, "................ 0/3"),
        (State(123_456, 1_234_567, "frames", 0.0003, 9e6, 0.1), 40, "123456/1234567, 1.1/h, 2500 h 0 min left"),
    ],
)
def test_words_go_before_figures(state: State, width: int, shown: str) -> None:
    assert line(state, width) == shown
    assert len(shown) <= width


@pytest.mark.parametrize("width", range(24, 130))
def test_every_width_shows_count_rate_and_time_left(width: int) -> None:
    for state in (FOLDER, TILES):
        shown = line(state, width)
        assert len(shown) <= width
        assert f"{state.done}" in shown
        assert "/s" in shown or "per second" in shown
        assert "4" in shown or "1 s" in shown or "0:01" in shown


def test_what_an_earlier_run_did_is_not_speed() -> None:
    times = iter((10.0, 12.0))
    speed = Speed(lambda: next(times))
    assert speed(Progress("", 100, 200, "frames")).per_second is None
    state = speed(Progress("", 104, 200, "frames"))
    assert (state.per_second, state.seconds_left, state.share) == (2.0, 48.0, 0.52)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_what_goes_to_a_file_does_not_appear_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    console = Console()
    with progress_bar(console) as progress:
        progress(Progress("", 1, 3, "tiles"))
        console.result("a.png: done")
        console.note("note: something")
    assert file.getvalue() == "a.png: done\n"
    assert "note: something" in terminal.getvalue()
    assert "1 of 3 tiles" in terminal.getvalue()
    assert "a.png" not in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue()  # no colors, on whatever background
    assert "█" in terminal.getvalue()


def test_an_interruption_learns_how_far_the_work_was() -> None:
    def work() -> None:
        with progress_line(Console()) as show:
            show(State(3, 10, "pictures", None, None, 0.3))
            raise Interrupted(2)

    with pytest.raises(Interrupted) as stop:
        work()
    assert stop.value.reached == "3 of 10 pictures"


def test_events_are_few_and_end_with_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 0.01, 0.02, 0.3, 0.31])
    with progress_line(Console(events=True), "a.png", lambda: next(times)) as show:
        for done in range(5):
            show(State(done, 4, "tiles", 2.0, 1.0, done / 4))
    events = [json.loads(each) for each in capsys.readouterr().err.splitlines()]
    assert [each["done"] for each in events] == [0, 3, 4]
    assert events[1] == {
        "event": "progress", "source": "a.png", "done": 3, "total": 4, "unit": "tiles", "share": 0.75,
        "per_second": 2.0, "seconds_left": 1.0, "text": "",
    }  # fmt: skip
