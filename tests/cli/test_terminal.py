"""What people see in real terminals of 40, 80 and 120 columns, and what Ctrl-C does there."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import MakePicture, WeightsOf
from tests.pipeline.clips import make, picture, x264

if os.name == "nt":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.cli.terminal import CTRL_C, Terminal

pytestmark = pytest.mark.slow

READABLE = {"", "0", "1", "3", "22", "23"}  # default colors, bold and italic: on light and on dark
EXPONENT = re.compile(r"\d[eE][+-]?\d")
RATE = r"[\d,.]+(?:/| per )(?:s|second|min|minute|h|hour)"
LINE = {
    120: rf"[\d,]+ of [\d,]+ (tiles|pictures|frames), {RATE}, .*\d (s|min) left",
    80: rf"[\d,]+ of [\d,]+ (tiles|pictures|frames), {RATE}, .*\d (s|min) left",
    40: rf"\d+/\d+, {RATE}, .*\d left|\d+/\d+, {RATE}, .*\d (s|min) left|\d+/\d+ {RATE} \d+:\d\d",
}
ONE_CORE = ("-s", 2, "--model", "clean", "--threads", 1, "--device", "cpu")


def noise(path: Path, side: int) -> Path:
    """Write a picture in which nothing can be reused."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)).save(path)
    return path


def said(terminal: Terminal) -> str:
    """Return all lines as one, however they were wrapped."""
    return re.sub(r"\s+", " ", " ".join(terminal.lines))


def narrow_and_stop(terminal: Terminal) -> None:
    """Narrow the terminal during the work, then press Ctrl-C.

    Count, rate and time left stay visible, and no line is as wide as the terminal: it would wrap on some.
    """
    for columns, pattern in LINE.items():
        terminal.resize(columns)
        terminal.read_until(pattern)
        terminal.read_until(r"left|\d:\d\d")  # what was being drawn may have the width before
        start = len(terminal.lines)
        terminal.read_until(pattern)
        assert [line for line in terminal.lines[start:] if len(line) >= columns] == []
    terminal.press(CTRL_C)


def check_screen(terminal: Terminal, first: str) -> None:
    assert terminal.written.startswith(f"\r{first}")
    assert terminal.styles <= READABLE
    assert EXPONENT.findall(said(terminal)) == []
    assert "Traceback" not in terminal.written
    assert "error" not in terminal.written


def test_a_picture(tmp_path: Path) -> None:
    noise(tmp_path / "a.png", 2000)
    with Terminal(("upscale", "a.png", "--tile", 48, *ONE_CORE), tmp_path, 120) as terminal:
        narrow_and_stop(terminal)
        assert terminal.end() == 130
    check_screen(terminal, "reading a.png ...")
    ending = r"interrupted after [\d,]+ of [\d,]+ tiles; no partial files were written; rerun to start again$"
    assert re.search(ending, said(terminal))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["a.png"]


def test_a_folder(tmp_path: Path) -> None:
    for number in range(80):
        noise(tmp_path / "in" / f"{number}.png", 130 + number)
    with Terminal(("batch", "in", *ONE_CORE), tmp_path, 120) as terminal:
        narrow_and_stop(terminal)
        assert terminal.end() == 130
    check_screen(terminal, "looking through in ...")
    assert "finishing pictures in progress; press Ctrl-C again to stop now" in said(terminal)
    found = re.search(r"stopped: (\d+) done, (\d+) remaining; rerun to resume$", said(terminal))
    assert found
    names = {path.name for path in (tmp_path / "in_x2").iterdir() if not path.name.startswith(".esrt-manifest")}
    assert names <= {f"{number}.png" for number in range(80)}
    assert (len(names), int(found[1]) + int(found[2])) == (int(found[1]), 80)


def test_a_clip(tmp_path: Path) -> None:
    make(tmp_path / "a.mp4", *picture("64x48", seconds=60, extra=",noise=alls=60:allf=t"), *x264())
    with Terminal(("video", "a.mp4", *ONE_CORE), tmp_path, 120) as terminal:
        narrow_and_stop(terminal)
        assert terminal.end() == 130
    check_screen(terminal, "reading a.mp4 ...")
    ending = r"interrupted; (no segment was finished; rerun to start again|rerun to resume after [\d,]+ frames)$"
    assert re.search(ending, said(terminal))
    assert not (tmp_path / "a_x2.mp4").exists()


@pytest.mark.parametrize("columns", [40, 120])
def test_plans_errors_and_results_wrap_between_words(
    make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path, columns: int
) -> None:
    make_picture("in/a.png")
    Path(tmp_path, "in", "b.png").write_bytes(b"no picture")
    with Terminal(("batch", "in", "--model", weights_of(2), "--device", "cpu"), tmp_path, columns) as terminal:
        assert terminal.end() == 1
    assert [line for line in terminal.lines if len(line) > columns] == []
    assert "in_x2/a.png: 40 x 24" in said(terminal)
    assert "error: in/b.png is not in an image format" in said(terminal)
    assert terminal.styles <= READABLE


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_figures_are_whole_in_40_columns_and_a_dumb_terminal_gets_plain_lines(
    make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path, name: str, value: str
) -> None:
    make_picture("in/a.png", 40, 30)
    with Terminal(("eval", "in", "--model", weights_of(2)), tmp_path, 40, **{name: value}) as terminal:
        assert terminal.end() == 0
    assert [line for line in terminal.lines if len(line) > 40] == []
    score = r"\d+\.\d\d 0\.\d{4}"
    assert re.search(rf"a\.png: [+-]\d+\.\d\d dB, bicubic {score}, ESRT {score}", said(terminal))
    assert terminal.styles <= READABLE
    if value == "dumb":
        assert "\x1b" not in terminal.written
        assert "\r" not in terminal.written.replace("\r\n", "")
