"""`esrt config`, and what the file means for other commands."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from esrt_cli.config import SETTINGS, config_path, read_config, variable, write_setting
from esrt_core.errors import OptionError, TargetError
from tests.cli.conftest import Run
from tests.conftest import MakePicture, WeightsOf


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for key in SETTINGS:
        monkeypatch.delenv(variable(key), raising=False)
    path = tmp_path / "config.toml"
    monkeypatch.setenv("ESRT_CONFIG", str(path))
    return path


def shown(run: Run, key: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(run("config", "show", "--json").out)[key]
    return found


def test_path_follows_the_environment(run: Run, file: Path) -> None:
    assert run("config", "path").out.decode().strip() == str(file)
    assert config_path({}).name == "config.toml"


def test_what_is_set_is_shown(run: Run, file: Path) -> None:
    assert run("config", "set", "device", "cpu").code == 0
    assert run("config", "set", "threads", "2").code == 0
    assert run("config", "set", "offline", "true").code == 0
    assert read_config(file) == {"device": "cpu", "threads": 2, "offline": True}
    assert shown(run, "threads") == {"value": 2, "from": "file"}
    assert shown(run, "offline") == {"value": True, "from": "file"}
    assert b'device = "cpu"  (file' in run("config", "show").out


def test_without_a_value_the_default_is_back(run: Run, file: Path) -> None:
    run("config", "set", "device", "cpu")
    assert run("config", "set", "device").code == 0
    assert read_config(file) == {}


def test_comments_stay(run: Run, file: Path) -> None:
    file.write_text("# mine\nthreads = 1 # slow\n")
    run("config", "set", "device", "cpu")
    assert file.read_text() == '# mine\nthreads = 1 # slow\ndevice = "cpu"\n'


def test_the_environment_beats_the_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("config", "set", "model", "one")
    monkeypatch.setenv("ESRT_MODEL", "two")
    assert shown(run, "model") == {"value": "two", "from": "environment, ESRT_MODEL"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["devise", "cpu"], "unknown setting 'devise', expected one of model, device"),
        (["threads", "many"], "threads is 'many', expected a whole number"),
        (["offline", "perhaps"], "offline is 'perhaps', expected true or false"),
        (["device", "gpu"], "unknown device 'gpu'"),
        (["tile", "3"], "tile must be"),
        (["model", ""], "model is ''"),
    ],
)
def test_what_cannot_be_set_is_refused(run: Run, file: Path, arguments: list[str], message: str) -> None:
    done = run("config", "set", *arguments)
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not file.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("devise = 3", "unknown setting 'devise'"),
        ("threads = 'two'", "threads is 'two', expected a whole number"),
        ("threads = true", "threads is True, expected a whole number"),
        ("device = 'gpu'", "unknown device 'gpu'"),
        ("[upscale]\ndevice = 'cpu'", "unknown setting 'upscale'"),
        ("device = ", "is not valid TOML"),
        ("threads = 123456789012345678901234567890", "is not valid TOML"),
        ("device = " + "[" * 5000, "is not valid TOML"),
        ("device = " + "[" * 60 + "]" * 60, "is not valid TOML"),
        ('device = "cpu\\u0000"', "is not valid TOML"),
        ("device = nan", "is not valid TOML"),
        ("threads = " + "1" * 5000, "is not valid TOML"),
    ],
)
def test_a_bad_file_is_one_line_in_every_command(run: Run, file: Path, content: str, message: str) -> None:
    file.write_text(content)
    for command in (["models", "list"], ["upscale", "a.png"], ["config", "show"], ["config", "set", "device", "cpu"]):
        done = run(*command)
        assert done.code == 1
        assert done.err.startswith(f"error: configuration {file}")
        assert message in done.err
        assert done.err.count("\n") == 1
    assert run("config", "path").code == 0


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match="is not valid TOML"):
        read_config(file)


def test_a_folder_of_that_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        read_config(tmp_path)


def test_writing_makes_the_folder(tmp_path: Path) -> None:
    write_setting(tmp_path / "new" / "config.toml", "threads", 3)
    assert read_config(tmp_path / "new" / "config.toml") == {"threads": 3}


def used_model(run: Run, *options: object) -> str:
    """Return the file that an upscale took its weights from, as its error says; none of them exists."""
    return run("upscale", "a.png", *options).err.partition("error: ")[2].split()[0]


def test_command_line_beats_environment_beats_file(
    run: Run, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture()
    run("config", "set", "model", "file.pth")
    assert used_model(run) == "file.pth"
    monkeypatch.setenv("ESRT_MODEL", "environment.pth")
    assert used_model(run) == "environment.pth"
    assert used_model(run, "--model", "line.pth") == "line.pth"


@pytest.mark.slow
def test_settings_of_the_store_reach_it(file: Path, tmp_path: Path) -> None:
    file.write_text("index = 'https://localhost/none.json'\noffline = true\nhome = 'elsewhere'\n")
    environment = {key: value for key, value in os.environ.items() if key != "ESRT_HOME"}
    program = [sys.executable, "-m", "esrt_cli"]
    done = subprocess.run([*program, "models", "list"], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "https://localhost/none.json is not in the cache and ESRT_OFFLINE is set" in done.stderr
    done = subprocess.run([*program, "models", "path"], capture_output=True, text=True, check=True, env=environment)
    assert str(Path("elsewhere/cache").absolute()) in done.stdout


def test_weights_of_the_configuration_are_used(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture()
    run("config", "set", "model", str(weights_of(2)))
    assert run("upscale", "a.png").code == 0
    assert Path("a_x2.png").is_file()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(TargetError, match="new cannot be written: permission denied"):
        write_setting(tmp_path / "new" / "c.toml", "device", "cpu")
