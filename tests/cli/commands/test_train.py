"""`esrt train` as a user types it, with tiny random networks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.conftest import WeightsOf
from tests.training.conftest import write_pictures


@pytest.mark.slow
def test_a_run_prints_its_course_and_ends_with_one_sentence(run: Run, tmp_path: Path, weights_of: WeightsOf) -> None:
    write_pictures(tmp_path / "pictures", 4)
    (tmp_path / "pictures" / "broken.png").write_bytes(b"nothing")
    short = ("--steps", 4, "--patch", 8, "--batch", 1, "--out", "mine", "--name", "mine")
    done = run("train", "pictures", "-s", 2, "--init", weights_of(2), *short)
    assert done.code == 0
    assert len(done.out.splitlines()) == 1
    assert b"best.safetensors" in done.out
    assert "not used: pictures/broken.png" in done.err
    assert "3 pictures to train on, 1 held out: bicubic" in done.err
    enlarged = run("upscale", "pictures/0.png", "--model", "mine", "-s", 2)
    assert enlarged.code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "-s", 2), "nowhere does not exist"),
        ((".", "-s", 5), "unknown scale 5"),
        ((".", "-s", 2, "--steps", 5, "--time", "5m"), "use either --steps or --time, not both"),
        ((".", "-s", 2, "--init", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, arguments: tuple[object, ...], message: str) -> None:
    done = run("train", *arguments)
    assert done.code == 1
    [line] = done.error_lines
    assert message in line
    assert not Path("runs").exists()


def test_help_imports_no_torch() -> None:
    code = "import sys; from esrt_cli.app import main; main(['train', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
