"""Faults of this program: one costs its picture and leaves its traceback, three in a row end the run."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.pipeline.batch import faults, workers
from esrt_core.pipeline.batch.faults import FAULT_LOG, Fault, FaultCounter, fault_of, reason_of
from esrt_core.pipeline.batch.plan import Task
from esrt_core.pipeline.batch.workers import BatchPipeline, LoadedTask
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned, results, run

Break = Callable[..., None]


@pytest.fixture
def break_for(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Return a function that makes one stage raise `error` for the pictures of these names."""

    def break_(stage: str, names: set[str], error: Exception) -> None:
        work = getattr(workers, stage)

        def broken(first: Task | LoadedTask | list[LoadedTask], *rest: object) -> object:
            items = first if isinstance(first, list) else [first]
            tasks = [item.task if isinstance(item, LoadedTask) else item for item in items]
            if any(Path(task.source).name in names for task in tasks):
                raise type(error)(*error.args)  # not one object that several threads raise
            return work(first, *rest)

        monkeypatch.setattr(workers, stage, broken)

    return break_


def make_folder(make_picture: MakePicture) -> None:
    for index in range(6):
        make_picture(f"in/{index}.png")
    frames = [Image.new("RGB", (9, 8), (40 * index, 0, 0)) for index in range(3)]
    frames[0].save("in/6.gif", save_all=True, append_images=frames[1:], duration=50)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "name"),
    [("load_task", "3.png"), ("enlarge_group", "3.png"), ("write_task", "3.png"), ("stream_task", "6.gif")],
)
def test_a_fault_costs_one_picture_and_leaves_its_traceback(
    asked: Asked, make_picture: MakePicture, break_for: Break, stage: str, name: str
) -> None:
    make_folder(make_picture)
    assert run(asked(output="whole")).done == 7
    break_for(stage, {name}, ZeroDivisionError("by three"))
    result = run(asked())
    assert (result.done, result.remaining, result.stopped) == (6, 0, None)
    reason = f"in/{name}: a fault in esrt (ZeroDivisionError: by three); see {FAULT_LOG}"
    assert [failure.reason for failure in result.failures] == [reason]
    assert result.fault_logs == [f"in_x2/{FAULT_LOG}"]
    log = Path("in_x2", FAULT_LOG).read_text()
    assert log.startswith(f"in/{name}\nTraceback (most recent call last):\n")
    assert log.count("ZeroDivisionError: by three\n") == 1
    whole = results("whole")
    assert {key: content for key, content in results().items() if key != FAULT_LOG} == {
        key: content for key, content in whole.items() if key != name
    }
    assert [failure.reason for failure in planned(asked()).failed_before] == [reason]


def test_three_alike_in_a_row_end_the_run_with_the_error(
    asked: Asked, make_picture: MakePicture, break_for: Break
) -> None:
    make_folder(make_picture)
    break_for("load_task", {f"{index}.png" for index in range(6)}, ZeroDivisionError("by nothing"))
    with pytest.raises(ZeroDivisionError, match="by nothing") as caught:
        run(asked("in", exclude=("*.gif",)))
    assert any("3 pictures in a row failed like this" in note for note in caught.value.__notes__)
    assert Path("in_x2", FAULT_LOG).read_text().count("Traceback") == 3


def test_a_thread_that_dies_ends_the_run(
    asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")

    def broken(*arguments: object) -> None:
        raise KeyError("no room")

    monkeypatch.setattr(BatchPipeline, "_fill", broken)
    with pytest.raises(KeyError, match="no room"):
        run(asked())


def fault(line: int) -> Fault:
    return Fault("Traceback", ("ValueError", f"module.py:{line}"))


def test_only_equal_ones_in_a_row_are_too_many() -> None:
    counter = FaultCounter(lambda folder, text: f"{folder}/log")
    ends = [fault(1), fault(1), None, fault(1), fault(1), fault(2), fault(1), fault(1), fault(1)]
    assert [counter.add(each, "a.png", "out") for each in ends] == [False] * 8 + [True]
    assert counter.logs == ["out/log"]


def test_the_file_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_MOST", 2)
    texts: list[str] = []

    def log(folder: str, text: str) -> str:
        texts.append(text)
        return folder

    counter = FaultCounter(log)
    for index in range(5):
        counter.add(fault(index), "a.png", "out")
    assert texts == ["a.png\nTraceback\n"] * 2


class AcceleratorError(RuntimeError):
    """Stand in for torch's."""


@pytest.mark.parametrize(
    "error",
    [MediaError("bad"), MemoryError(), AcceleratorError("lost"), OSError(errno.ENOSPC, "No space")],
)
def test_files_memory_devices_and_disks_are_no_faults(error: Exception) -> None:
    assert fault_of(error) is None
    assert "fault" not in reason_of(error, "in/a.png")


def test_a_device_that_is_lost_under_torch_stops_the_run(
    asked: Asked, make_picture: MakePicture, break_for: Break
) -> None:
    make_folder(make_picture)
    break_for("enlarge_group", {f"{index}.png" for index in range(6)}, AcceleratorError("CUDA error: unspecified"))
    result = run(asked("in", exclude=("*.gif",)))
    assert (result.done, result.remaining, result.failures, result.fault_logs) == (0, 6, [], [])
    assert str(result.stopped).startswith("the device failed (CUDA error: unspecified)")


def test_a_reason_is_one_line_that_names_the_picture() -> None:
    assert reason_of(MemoryError(), "in/a.png") == "in/a.png: out of memory; a smaller size needs less"
    assert reason_of(KeyError("a\nb"), "in/a.png") == f"in/a.png: a fault in esrt (KeyError: 'a\\nb'); see {FAULT_LOG}"
    assert reason_of(ValueError("a\nb"), "a") == f"a: a fault in esrt (ValueError: a b); see {FAULT_LOG}"
