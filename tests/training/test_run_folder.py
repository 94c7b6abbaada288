import math
from dataclasses import replace
from pathlib import Path

import pytest

from esrt_core.errors import TrainingError
from esrt_core.training import run_folder
from esrt_core.training.events import Trained, Validated
from esrt_core.training.run_folder import RunFolder, TrainResult
from tests.conftest import file_size_limit
from tests.training.conftest import MakeOptions


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def trained(step: int) -> Trained:
    return Trained(step, 1.5, 0.25, 0.123456789, 1e-3, 24, 16, 1000.0)


def test_a_new_or_empty_folder_is_taken(folder: RunFolder, make_options: MakeOptions) -> None:
    assert folder.prepare(make_options()) == []
    assert RunFolder(folder.path / "new").prepare(make_options()) == []


def test_a_folder_with_other_files_is_refused(folder: RunFolder, make_options: MakeOptions) -> None:
    (folder.path / "photo.png").touch()
    with pytest.raises(TrainingError, match="has other files"):
        folder.prepare(make_options())


def test_another_length_is_noticed_and_other_options_are_refused(folder: RunFolder, make_options: MakeOptions) -> None:
    folder.write_record(make_options(), {}, {})
    assert folder.prepare(make_options()) == []
    assert folder.prepare(make_options(steps=9)) == ["resuming with steps 9 (before: 6)"]
    with pytest.raises(TrainingError, match="seed was 0, now 3"):
        folder.prepare(make_options(seed=3))


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"options": {}}', b"[" * 100_000, b"\xff", b"\0" * 50, b'{"options": {}, "results": {"a": 1e999}}'],
)
def test_a_damaged_record_is_refused(folder: RunFolder, make_options: MakeOptions, content: bytes) -> None:
    folder.record.write_bytes(content)
    with pytest.raises(TrainingError, match="damaged"):
        folder.prepare(make_options())


def test_a_full_disk_is_noticed_first(
    folder: RunFolder, make_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "free_bytes", lambda path: 1000)
    with pytest.raises(TrainingError, match="free"):
        folder.prepare(make_options())


def test_rows_are_on_disk_at_once_and_those_after_the_saved_step_are_dropped(folder: RunFolder) -> None:
    log = folder.open_log(0)
    log.write(trained(10))
    log.write(Validated(10, 2.0, 31.5, best=True))
    log.write(trained(20))
    assert [row["step"] for row in folder.read_log()] == ["10", "10", "20"]
    log.close()
    again = folder.open_log(15)
    again.write(trained(18))
    again.close()
    rows = folder.read_log()
    assert [(row["step"], row["psnr"]) for row in rows] == [("10", ""), ("10", "31.5"), ("18", "")]
    assert rows[0]["loss"] == "0.123457"


@pytest.mark.parametrize(
    "tail",
    [
        "1" * 5000 + ",1,0.5,1,1,1,1,1,\n",
        "9" * 400 + ",1,0.5,1,1,1,1,1,\n",
        "-1,1,0.5,1,1,1,1,1,\n",
        "\0\0" + "1" * 200_000 + "\n",
        "20,1.5,0.2",
        "20,1.5,0.25,0.1,0.001,24,16,1000,3",
        "\0\0\0\0",
        "30,1,x,1,1,1,1,1,\n",
        "1,2\n",
        '"20,1.5\n',
    ],
)
def test_torn_and_odd_rows_are_ignored(folder: RunFolder, tail: str) -> None:
    log = folder.open_log(0)
    log.write(trained(10))
    log.close()
    with folder.log.open("a") as file:
        file.write(tail)
    assert [row["step"] for row in folder.read_log()] == ["10"]


RESULT = TrainResult(Path("x"), 6, 1.5, 2, math.inf, 30.5, 31, 30.75, 4, "mine")


def test_a_result_comes_back_even_if_a_psnr_is_infinite(folder: RunFolder, make_options: MakeOptions) -> None:
    assert folder.read_result() is None
    folder.write_record(make_options(), {}, {})
    assert folder.read_result() is None
    folder.write_record(make_options(), {}, {**RESULT.as_json(), "later": 1})
    assert folder.read_result() == replace(RESULT, best=folder.best)


@pytest.mark.parametrize(("key", "value"), [("steps", "6"), ("steps", None), ("best_psnr", [1]), ("name", 5)])
def test_a_result_of_wrong_types_is_refused(
    folder: RunFolder, make_options: MakeOptions, key: str, value: object
) -> None:
    folder.write_record(make_options(), {}, {**RESULT.as_json(), key: value})
    with pytest.raises(TrainingError, match=f"run.json is damaged .*{key}"):
        folder.read_result()


def test_a_log_that_cannot_be_read_is_one_sentence(folder: RunFolder) -> None:
    folder.log.mkdir()
    with pytest.raises(TrainingError, match=r"log\.csv cannot be read"):
        folder.read_log()


def test_a_log_on_a_full_disk_is_one_line(folder: RunFolder) -> None:
    log = folder.open_log(0)
    with (
        file_size_limit(folder.log.stat().st_size + 10),
        pytest.raises(TrainingError, match=r"log\.csv cannot be written"),
    ):
        log.write(trained(10))
    log.close()
    assert folder.read_log() == []
