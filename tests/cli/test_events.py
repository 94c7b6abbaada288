"""`--progress json`: one JSON object a line on standard error, and the front end of docs/python.md."""

import json
import re
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from tests.cli.conftest import Ran, Run
from tests.conftest import MakePicture, WeightsOf
from tests.evaluation.pictures import texture
from tests.pipeline.clips import make, picture, x264
from tests.training.conftest import write_pictures

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs/python.md").read_text(encoding="utf-8")
FIELDS: dict[str, str] = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|$", MANUAL, re.MULTILINE))


def documented(event: str, product: str) -> set[str]:
    """Return the fields of an event that the manual promises for a product: picture, folder, clip or training."""
    parts = [part.strip() for part in FIELDS[event].split(";")]
    own = [part for part in parts if re.match(rf"{product}(:| also)", part)]
    common = [part for part in parts if not re.match(r"(picture|folder|clip|training)(:| also)", part)]
    return {name for part in (*common, *own) for name in re.findall(r"`(\w+)`", part)}


def check_against_the_manual(found: list[dict[str, Any]], product: str) -> None:
    """Check that every event and every field that a front end needs is where the manual says."""
    for each in found:
        name = each["event"]
        assert name in FIELDS, name
        if name not in ("result", "summary"):  # those of --json
            missing = documented(name, product) - each.keys() - {"eval", "export"}
            assert missing == set(), (name, missing)


def events(done: Ran) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [json.loads(line) for line in done.err.splitlines()]
    assert found[0]["event"] == "start"
    assert found[-1] == {"event": "end", "exit_code": done.code}
    return found


def kinds(found: list[dict[str, Any]]) -> list[str]:
    names = [each["event"] for each in found]
    return [name for place, name in enumerate(names) if name not in names[:place]]


def test_pictures(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("a.png")
    done = run("upscale", "a.png", "none.png", "--model", weights_of(2), "--progress", "json")
    found = events(done)
    assert done.code == 1
    assert kinds(found) == ["start", "failure", "plan", "progress", "result", "end"]
    by_name = {each["event"]: each for each in found}
    assert (by_name["plan"]["source"], by_name["plan"]["size"]) == ("a.png", [40, 24])
    assert (by_name["progress"]["done"], by_name["progress"]["total"], by_name["progress"]["unit"]) == (1, 1, "tiles")
    assert by_name["result"]["target"] == "a_x2.png"
    assert by_name["failure"]["source"] == "none.png"
    assert done.out.startswith(b"a_x2.png: 40 x 24")
    check_against_the_manual(found, "picture")


def test_a_folder(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("in/a.png")
    Path("in/b.png").write_bytes(b"no picture")
    found = events(run("batch", "in", "--model", weights_of(2), "--progress=json"))
    assert kinds(found) == ["start", "plan", "result", "progress", "failure", "summary", "end"]
    plan = next(each for each in found if each["event"] == "plan")
    assert (plan["pictures"], plan["to_do"], plan["refused"]) == (2, 1, 1)
    assert [each["source"] for each in found if each["event"] == "failure"] == ["in/b.png"]
    check_against_the_manual(found, "folder")


def test_a_clip(run: Run, tmp_path: Path, weights_of: WeightsOf) -> None:
    make(tmp_path / "a.mp4", *picture(seconds=0.08), *x264())
    found = events(run("video", "a.mp4", "--model", weights_of(2), "--progress", "json"))
    assert kinds(found) == ["start", "plan", "progress", "result", "end"]
    assert [each for each in found if each["event"] == "progress"][-1]["done"] == 2
    check_against_the_manual(found, "clip")


@pytest.mark.slow
def test_a_training(run: Run, tmp_path: Path, weights_of: WeightsOf) -> None:
    write_pictures(tmp_path / "pictures", 4)
    short = ("--steps", 4, "--patch", 8, "--batch", 1, "--validations", 1, "-o", "mine")
    done = run("train", "pictures", "-s", 2, "--model", weights_of(2), *short, "--progress", "json", "--json")
    found = events(done)
    assert {"plan", "progress", "validation", "result"} <= set(kinds(found))
    check_against_the_manual(found, "training")
    assert json.loads(done.out)["steps"] == 4


@pytest.mark.slow
def test_what_measures_and_exports(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("in/a.png", 40, 30)
    model = ("--model", weights_of(2), "--progress", "json")
    found = events(run("eval", "in", *model))
    assert kinds(found) == ["start", "note", "progress", "result", "end"]
    assert [each["name"] for each in found[-2]["pictures"]] == ["a.png"]
    Image.fromarray(texture()).save(make_picture("b.png"))
    found = events(run("compare", "b.png", *model))
    assert (found[-2]["event"], found[-2]["target"]) == ("result", "b_x2_compare.png")
    found = events(run("export", "-o", "a.pth", *model))
    assert (found[-2]["event"], found[-2]["format"]) == ("result", "authors")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["upscale", "--progress", "json"], 2, "Missing argument 'IN'; see 'esrt upscale --help'"),
        (["upscale", "a.png", "-s", "0", "--progress", "json"], 1, "scale must be at least 1 and at most 16, not 0"),
        (["upscale", "a.png", "--progress", "xml"], 2, None),
    ],
)
def test_errors_of_the_command_line_are_events_too(run: Run, arguments: list[str], code: int, text: str | None) -> None:
    done = run(*arguments)
    assert done.code == code
    if text is None:
        assert done.err.startswith("error: Invalid value for '--progress'")
    else:
        assert events(done)[1:-1] == [{"event": "failure", "source": None, "error": text}]


class Widget:
    """Stand for everything of tkinter, and remember what was shown; the window closes when the work is done."""

    shown: ClassVar[list[object]] = []

    def __init__(self, *parts: object, **options: object) -> None:
        pass

    def pack(self) -> None:
        pass

    def configure(self, **options: object) -> None:
        self.shown.extend(options.values())

    def after(self, delay: int, call: Callable[[], None]) -> None:
        call()

    def mainloop(self) -> None:
        for thread in threading.enumerate():
            if "(follow)" in thread.name:
                thread.join()


@pytest.mark.slow
def test_the_front_end_of_the_manual_works(
    make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", MANUAL, re.DOTALL) if "--progress" in block]
    assert 25 <= len(code.strip().splitlines()) <= 38
    for name in ("tkinter", "tkinter.ttk"):  # windows are not opened here
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    tkinter, ttk = sys.modules["tkinter"], sys.modules["tkinter.ttk"]
    for module, name in ((tkinter, "Tk"), (ttk, "Progressbar"), (ttk, "Label")):
        setattr(module, name, Widget)
    tkinter.ttk = ttk  # type: ignore[attr-defined]
    monkeypatch.setattr(Widget, "shown", [])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    make_picture("in/a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    monkeypatch.setattr(sys, "argv", ["front_end.py", "in", "--model", str(weights_of(2))])
    exec(compile(code, "front_end.py", "exec"), {"__name__": "__main__"})
    pairs = list(zip(Widget.shown[::2], Widget.shown[1::2], strict=True))
    assert (1.0, "1 of 1 pictures") in pairs
    assert (1, "in_x2/a.png") in pairs
    assert any(share == 0 and str(text).startswith("in/b.png is not in an image format") for share, text in pairs)
    assert pairs[-1] == (1, "ended with 1")
