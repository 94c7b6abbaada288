"""What a CPU does without torch: every command that makes pictures, in a process in which torch cannot be imported."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from esrt_core.engine.gpu import may_have_gpu
from esrt_core.engine.native.library import load_library
from tests.pipeline.clips import make, picture, x264

pytestmark = pytest.mark.skipif(load_library() is None, reason="there was no C compiler when the package was installed")

PROGRAM = """
import gc
import os
import sys

def refuse(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] == "torch":
        raise AssertionError("torch is imported")

sys.addaudithook(refuse)
code = 0
for arguments in (line.split("\\t") for line in sys.stdin.read().splitlines()):
    from esrt_cli.app import main
    code = main(arguments) or code
assert "torch" not in sys.modules
print("modules:", *sys.modules)
print("threads:", len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1)
print("collections:", *(each["collections"] for each in gc.get_stats()))
sys.exit(code)
"""


def run(*commands: Sequence[str | Path]) -> list[dict[str, object]]:
    """Return the JSON objects that commands print."""
    return [json.loads(line) for line in started(*commands).splitlines() if line.startswith("{")]


def started(*commands: Sequence[str | Path]) -> str:
    """Run commands one after the other in a process without torch; return what they print."""
    lines = "\n".join("\t".join(map(str, command)) for command in commands)
    environment = os.environ | {"ESRT_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    environment.pop("OMP_NUM_THREADS", None)  # as a user has it
    environment["ESRT_DEVICE"] = "cpu" if may_have_gpu() else "auto"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=lines, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SLOW = {"av", "http.client", "imagecodecs", "numpy.ma", "psutil", "pydantic", "rich", "tifffile", "torch"}


def test_a_small_picture_loads_only_what_it_needs(tmp_path: Path) -> None:
    Image.fromarray(pixels(10, 12, 3)).save(tmp_path / "a.png")
    done = started(["upscale", tmp_path / "a.png", "-s", "2"])
    (modules,) = (line.split()[1:] for line in done.splitlines() if line.startswith("modules:"))
    assert "numpy" in modules
    assert SLOW & set(modules) == set()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="torch reads the same setting there")
def test_no_library_starts_threads_that_wait_busily(tmp_path: Path) -> None:
    Image.fromarray(pixels(10, 12, 3)).save(tmp_path / "a.png")
    assert "threads: 1\n" in started(["upscale", tmp_path / "a.png", "-s", "2"])


def test_garbage_is_looked_for_a_few_times_while_a_small_picture_is_made(tmp_path: Path) -> None:
    Image.fromarray(pixels(10, 12, 3)).save(tmp_path / "a.png")
    done = started(["upscale", tmp_path / "a.png", "-s", "2"])
    (counts,) = (line.split()[1:] for line in done.splitlines() if line.startswith("collections:"))
    assert sum(map(int, counts)) < 100  # with Python's own threshold more than 150


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def every_mode(folder: Path) -> list[Path]:
    """Write a small picture of every mode."""
    folder.mkdir()
    paths = []
    for mode in ("L", "LA", "RGB", "RGBA", "CMYK", "P", "1"):
        path = folder / f"{mode}{'.tif' if mode == 'CMYK' else '.png'}"
        Image.fromarray(pixels(10, 12, 4)).convert(mode).save(path)
        paths.append(path)
    for name, dtype in (("16-bit", np.uint16), ("float", np.float32)):
        path = folder / f"{name}.tif"
        values = pixels(10, 12, 3) * (257.0 if dtype is np.uint16 else 1 / 255)
        tifffile.imwrite(path, values.astype(dtype), photometric="rgb")
        paths.append(path)
    path = folder / "photo.jpg"
    Image.fromarray(pixels(10, 12, 3)).save(path, quality=60)
    return [*paths, path]


@pytest.mark.slow
def test_a_picture_of_every_mode(tmp_path: Path) -> None:
    sources = every_mode(tmp_path / "in")
    results = run(["upscale", *sources, "-s", "2", "-o", f"{tmp_path}/out/", "--json"])
    assert [result["ok"] for result in results] == [True] * len(sources)
    assert {tuple(result["size"]) for result in results} == {(24, 20)}  # type: ignore[arg-type]
    assert len(list((tmp_path / "out").iterdir())) == len(sources)


@pytest.mark.slow
def test_every_option_of_the_engine(tmp_path: Path) -> None:
    source, common = tmp_path / "a.png", ["--json", "--overwrite"]
    Image.fromarray(pixels(70, 60, 4)).save(source)
    options = (
        ["-s", "2", "--tta"],
        ["-s", "2", "--tile", "48"],
        ["-s", "2", "--tile", "0"],
        ["-s", "5"],
        ["-s", "2", "--threads", "2", "--precision", "fp32", "--device", "cpu"],
        ["-s", "2", "--compare"],
    )
    commands: list[list[str | Path]] = [["upscale", source, *words, *common] for words in options]
    results = run(*commands)
    assert [result["tile"] for result in results[:3]] == [240, 48, 0]
    assert len(results[3]["passes"]) == 2  # type: ignore[arg-type]
    assert results[3]["resampled"] is True
    assert {(result["device"], result["precision"]) for result in results} == {("cpu", "fp32")}


@pytest.mark.slow
def test_a_folder(tmp_path: Path) -> None:
    every_mode(tmp_path / "in")
    summary = run(["batch", tmp_path / "in", "-s", "2", "-o", tmp_path / "out", "--json"])[-1]["summary"]
    assert isinstance(summary, dict)
    assert (summary["done"], summary["failed"]) == (10, 0)


@pytest.mark.slow
def test_a_comparison(tmp_path: Path) -> None:
    Image.fromarray(pixels(40, 40, 3)).save(tmp_path / "a.png")
    run(["compare", tmp_path / "a.png", "--models", "clean,photo", "-s", "2", "-o", tmp_path / "b.png"])
    assert (tmp_path / "b.png").is_file()


@pytest.mark.slow
def test_a_clip(tmp_path: Path) -> None:
    clip = make(tmp_path / "a.mp4", *picture("48x32"), *x264())
    run(["video", clip, "-s", "2", "-o", tmp_path / "b.mp4"])
    assert (tmp_path / "b.mp4").is_file()
