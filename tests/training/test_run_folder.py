import json
from pathlib import Path

import pytest

from esrt_core.errors import TrainingError
from esrt_core.training import run_folder
from esrt_core.training.events import Trained, Validated
from esrt_core.training.run_folder import RunFolder
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


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"options": {}})])
def test_a_damaged_record_is_refused(folder: RunFolder, make_options: MakeOptions, content: str) -> None:
    folder.record.write_text(content)
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
