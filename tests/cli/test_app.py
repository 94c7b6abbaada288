"""The program as a whole: help, version, exit codes, and what is not imported."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import esrt_cli
import esrt_core
from esrt_cli import app as app_module
from esrt_cli.app import main
from esrt_core.errors import StopError
from esrt_core.media.frame import Frame
from esrt_core.progress import ProgressCallback
from esrt_core.system.process import SPIN_COUNT
from tests.cli.conftest import Run
from tests.conftest import MakePicture, WeightsOf

LIGHT = """
import sys
from esrt_cli.app import main
code = main(sys.argv[1:])
heavy = {"torch", "numpy", "PIL", "imageio", "matplotlib"} & set(sys.modules)
print("HEAVY", sorted(heavy), file=sys.stderr)
sys.exit(code)
"""


NAMED_SHELL = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"  # the tests' parent need not be a shell


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 0),
        (["--show-completion", "bash"], 0),
        (["upscale", "--help"], 0),
        (["upscale"], 2),
        (["--nonsense"], 2),
        (["upscale", "a.png", "--scale", "large"], 2),
    ],
)
def test_help_version_completion_and_option_errors_import_nothing_heavy(arguments: list[str], code: int) -> None:
    environment = {**os.environ, NAMED_SHELL: "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert "HEAVY []" in done.stderr or (done.returncode, done.stderr) == (0, "")  # completion exits by itself
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_idle_threads_are_told_to_sleep_before_torch_is_there() -> None:
    script = (
        "import os, sys\nfrom esrt_cli.app import main\nmain(['--version'])\n"
        "print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"
    )
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == f"False {SPIN_COUNT}"


def test_completion_imports_nothing_heavy() -> None:
    script = "import sys, atexit\n" + (
        "atexit.register(lambda: sys.stderr.write(repr({'torch', 'numpy', 'PIL'} & set(sys.modules))))\n" + LIGHT
    )
    environment = {**os.environ, "_ESRT_COMPLETE": "complete_bash", "COMP_WORDS": "esrt upsc", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.split() == ["upscale"]
    assert done.stderr == "set()"


def test_the_core_package_itself_imports_nothing_heavy() -> None:
    script = "import sys, esrt_core; print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_alone_it_shows_its_help(run: Run) -> None:
    done = run()
    assert done.code == 0
    assert b"Usage: esrt" in done.out
    assert b"upscale" in done.out


def test_the_version_is_one_line(run: Run) -> None:
    done = run("--version")
    assert done.out.startswith(b"esrt ")
    assert done.out.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nonsense"], "error: No such option: --nonsense; see 'esrt --help'"),
        (["enlarge"], "error: No such command 'enlarge'; see 'esrt --help'"),
        (["upscale"], "error: Missing argument 'IN'; see 'esrt upscale --help'"),
        (["upscale", "a", "--tile", "big"], "error: Invalid value for '--tile'"),
        (["upscale", "a", "-s", "4x"], "error: Invalid value for '-s' / '--scale': '4x' is not a number"),
        (["upscale", "a", "-s"], "error: Option '-s' requires an argument"),
    ],
)
def test_a_command_line_that_does_not_parse_is_one_line_and_two(run: Run, arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.err.startswith(message)
    assert done.err.count("\n") == 1
    assert done.out == b""


def test_a_stop_carries_its_own_exit_code(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def stop(*_: object, **__: object) -> None:
        raise StopError("stopped", 143)

    monkeypatch.setattr(app_module, "app", stop)
    assert run() == type(run("--version"))(143, b"", "stopped\n")


def test_memory_that_runs_out_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def exhaust(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(app_module, "app", exhaust)
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("error: out of memory")


def test_the_network_is_at_most_eight_frames_away(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from esrt_core.engine.upscaler import Upscaled, Upscaler

    make_picture("a.png")
    own = (str(Path(esrt_cli.__file__).parent), str(Path(esrt_core.__file__).parent))
    stacks: list[list[str]] = []
    upscale = Upscaler.upscale

    def recorded(upscaler: Upscaler, frame: Frame, progress: ProgressCallback) -> Upscaled:
        calls = [each.frame for each in inspect.getouterframes(sys._getframe(1))]
        stacks.append([call.f_code.co_name for call in calls if call.f_code.co_filename.startswith(own)])
        return upscale(upscaler, frame, progress)

    monkeypatch.setattr(Upscaler, "upscale", recorded)
    assert run("upscale", "a.png", "--model", weights_of(2)).code == 0
    (stack,) = stacks
    assert stack[-1] == "main"
    assert len(stack) <= 8, stack
