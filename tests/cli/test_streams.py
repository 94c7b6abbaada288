"""Streams may be closed: the work is done, and the exit code is right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakePicture, WeightsOf

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the shell's words for closed streams")


def shell(folder: Path, arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "ESRT_HOME": str(folder / "home")}
    command = f"{sys.executable} -m esrt_cli {arguments}"
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "closed"),
    [
        ("upscale a.png", ">&-"),
        ("upscale a.png", "<&- >&- 2>&-"),
        ("upscale a.png --progress json --json", ">&- 2>&-"),
        ("batch in", "2>&-"),
        ("batch in", ">&- 2>&-"),
    ],
)
def test_the_work_is_done_without_streams(
    make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path, closed: str, command: str
) -> None:
    make_picture("a.png")
    make_picture("in/b.png")
    done = shell(tmp_path, f"{command} --model {weights_of(2)} {closed}")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (tmp_path / ("in_x2/b.png" if command == "batch in" else "a_x2.png")).is_file()


@pytest.mark.slow
def test_a_failure_keeps_its_exit_code(tmp_path: Path) -> None:
    assert shell(tmp_path, "upscale none.png 2>&-").returncode == 1
    assert shell(tmp_path, "upscale --nonsense >&- 2>&-").returncode == 2


@pytest.mark.slow
def test_nothing_that_is_printed_gets_into_a_result(
    make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path
) -> None:
    make_picture("a.png")
    assert shell(tmp_path, f"upscale a.png -o b.png --model {weights_of(2)}").returncode == 0
    assert shell(tmp_path, f"upscale a.png -o c.png -v --model {weights_of(2)} >&- 2>&-").returncode == 0
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_a_picture_for_a_closed_standard_output_is_an_error(make_picture: MakePicture, tmp_path: Path) -> None:
    make_picture("a.png")
    done = shell(tmp_path, "upscale a.png -o - >&-")
    assert done.returncode == 1
    assert done.stderr == "error: the picture would go to standard output, which is closed; use -o\n"


@pytest.mark.slow
def test_a_program_without_a_console_does_its_work(
    make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path
) -> None:
    make_picture("a.png")
    script = "import sys; sys.stdin = sys.stdout = sys.stderr = None; from esrt_cli.app import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", script, "upscale", "a.png", "--model", str(weights_of(2))]
    assert subprocess.run(arguments, cwd=tmp_path, check=False, env=environment).returncode == 0
    assert (tmp_path / "a_x2.png").is_file()
