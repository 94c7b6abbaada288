"""`esrt info` as a user types it."""

import json
from collections import namedtuple
from pathlib import Path

import psutil
import pytest
import torch

from esrt_core import machine
from esrt_core.machine import Driver, SpeedReport
from esrt_core.weights.catalog import bundled_rows
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_driver", lambda: Driver("550.54", "12.4"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)


def test_it_shows_versions_devices_weights_and_places(run: Run) -> None:
    done = run("info")
    text = done.out.decode()
    assert done.code == 0
    for title in ("Versions", "Machine", "Devices", "Weights", "Folders"):
        assert f"\n{title}\n" in f"\n{text}"
    assert "  cpu: " in text
    assert "works" in text
    assert "fp32" in text
    assert text.count("(bundled): ok, sha256 ") == len(bundled_rows())
    assert f"cache: {Path('home/cache').absolute()}" in text


def test_it_says_why_a_gpu_cannot_be_used(run: Run) -> None:
    text = run("info").out.decode()
    assert "NVIDIA driver: 550.54, CUDA up to 12.4" in text
    assert "built for CPUs only" in text
    assert "https://pytorch.org/get-started/locally" in text


def test_it_is_one_json_object(run: Run) -> None:
    found = json.loads(run("info", "--json").out)
    assert {"versions", "devices", "threads", "memory", "advice", "weights", "cache", "data"} <= found.keys()
    assert found["devices"][0]["problem"] == ""


def test_the_speed_is_one_line_for_an_issue(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slowed = ("a busy machine (other programs took 80% of the CPU)",)
    report = SpeedReport("Linux x86_64", "cpu", "A CPU, AVX2, compiled", "fp32", 2, 4, {2: 1.23, 4: 4.5}, 0.8, slowed)
    monkeypatch.setattr(machine, "measure_machine", lambda: report)
    version = machine.package_versions()["esrt-upscaler"]
    assert run("info", "--bench").out.decode() == (
        f"esrt {version}, Linux x86_64: x2 1.2, x4 4.5 megapixels of results per second on cpu in fp32; A CPU, AVX2, "
        "compiled; 2 threads on 4 cores; slowed by: a busy machine (other programs took 80% of the CPU)\n"
    )
    found = json.loads(run("info", "--bench", "--json").out)
    assert found["megapixels_per_second"] == {"2": 1.23, "4": 4.5}


def test_what_slows_a_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "load_library", lambda: None)
    monkeypatch.setattr(machine, "cpu_threads", lambda: 1)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    assert machine.slowed_by("cpu", 0.8) == (
        "no compiled network (no C compiler when esrt was installed)",
        "1 of 4 cores used",
        "a busy machine (other programs took 80% of the CPU)",
    )
    assert machine.slowed_by("cuda", 0.1) == ()
    library = type("Library", (), {"processor": "baseline"})
    monkeypatch.setattr(machine, "load_library", lambda: library)
    assert machine.slowed_by("cpu", 0.0)[0] == "a processor without AVX2"


@pytest.mark.parametrize(
    ("busy", "idle", "own", "share"),
    [
        (20.0, 0.0, 20.0, 0.0),  # all cores are ours
        (20.0, 0.0, 5.0, 0.75),
        (10.0, 10.0, 10.0, 0.0),  # one of two cores, the other idle
        (15.0, 5.0, 10.0, 0.25),
        (9.9, 0.0, 10.0, 0.0),  # clocks differ a little
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_others_are_what_this_program_did_not_take(busy: float, idle: float, own: float, share: float) -> None:
    before = machine.Load(100.0, 200.0, 3.0)
    after = machine.Load(100.0 + busy, 200.0 + idle, 3.0 + own)
    assert after.share_of_others(before) == pytest.approx(share)


def test_guests_count_once_and_waiting_for_disks_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    times = namedtuple("times", ("user", "system", "idle", "iowait", "guest", "guest_nice"))
    monkeypatch.setattr(psutil, "cpu_times", lambda: times(70.0, 5.0, 100.0, 20.0, 3.0, 2.0))
    load = machine.Load.now()
    assert (load.busy, load.idle) == (75.0, 120.0)


@pytest.mark.slow
def test_a_measurement_gives_a_speed_for_each_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SPEED_SIDES", {"cpu": 16, "gpu": 16})
    report = machine.measure_machine(seconds=0.0)
    assert report.device == "cpu"
    assert set(report.megapixels_per_second) == {2, 4}


def test_an_index_that_cannot_be_had_hides_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESRT_INDEX", "none.json")
    done = run("info")
    assert done.code == 0
    assert "error: index" in done.err
    assert b"(bundled): ok" in done.out
