"""Nobody looks at an empty screen: the first line comes before anything heavier than rich is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakePicture

# Record, at the first import of a heavy package, what is on the screen by then.
SCRIPT = """
import io, os, sys

class Terminal(io.StringIO):
    encoding = "utf-8"
    def isatty(self):
        return True
    def fileno(self):
        raise ValueError("not a file")

HEAVY = {"torch", "numpy", "PIL", "av", "imageio", "imageio_ffmpeg", "matplotlib", "psutil", "safetensors", "tifffile"}
seen = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY and not seen:
            seen.append((name, sys.stderr.getvalue()))

sys.meta_path.insert(0, Watch())
screen, stderr = Terminal(), sys.stderr
sys.stderr = screen
sys.stdout = io.TextIOWrapper(io.BytesIO(), write_through=True)
from esrt_cli.app import main
assert not seen, seen
main(sys.argv[1:])
import json
print(json.dumps(seen), file=stderr)
"""
COMMANDS = [
    (["upscale", "a.png"], "reading a.png ..."),
    (["upscale", "a.png", "b.png", "-o", "out/"], "reading 2 pictures ..."),
    (["batch", "in"], "looking through in ..."),
    (["video", "none.mp4"], "reading none.mp4 ..."),
    (["train", "in", "-s", "2", "--init", "none.pth"], "preparing the training ..."),
    (["eval", "in", "-s", "2", "--model", "none.pth"], "reading in ..."),
    (["compare", "none.png"], "comparing on none.png ..."),
    (["export", "-o", "a.onnx", "--model", "none.pth"], "loading the network ..."),
    (["info"], "testing this machine ..."),
    (["models", "info", "none.pth"], "looking for none.pth ..."),
    (["models", "verify", "clean"], "checking clean ..."),
    (["config", "show"], "looking at this machine ..."),
]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "line"), COMMANDS)
def test_the_first_line_comes_before_what_takes_long(
    make_picture: MakePicture, tmp_path: Path, arguments: list[str], line: str
) -> None:
    make_picture("a.png")
    make_picture("in/b.png")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{SCRIPT}", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    seen = json.loads(done.stderr.splitlines()[-1])
    assert [screen for _, screen in seen] == [f"\r{line}"]
