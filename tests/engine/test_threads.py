import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from esrt_core.engine.threads import (
    cpu_threads,
    default_threads,
    requested_threads,
    take_cpu_threads,
    usable_cores,
    use_cpu_threads,
)


@pytest.mark.parametrize(("setting", "count"), [("3", 3), (" 5,2", 5), ("", 7), ("0", 7), ("many", 7)])
def test_the_environment_sets_the_default(setting: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    monkeypatch.setattr("esrt_core.engine.threads.usable_cores", lambda: 7)
    assert default_threads.__wrapped__() == count


def test_a_number_holds_for_its_python_thread_alone() -> None:
    def work(count: int) -> tuple[int, int | None]:
        take_cpu_threads(count)
        with use_cpu_threads(None):
            return cpu_threads(), requested_threads()

    before = cpu_threads()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, (11, 12))) == [(11, 11), (12, 12)]
    assert (cpu_threads(), requested_threads()) == (before, None)


def test_a_block_ends_with_the_number_that_was_there() -> None:
    with use_cpu_threads(5):
        with use_cpu_threads(2):
            assert cpu_threads() == 2
        assert cpu_threads() == 5
    assert requested_threads() is None


def test_cores_with_two_threads_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu in range(4):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    assert usable_cores(tmp_path) == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2}, raising=False)
    assert usable_cores(tmp_path) == 1
    assert usable_cores(tmp_path / "nothing") == 2
