"""`esrt info` as a user types it."""

import json
from pathlib import Path

import pytest

from esrt_core import machine
from esrt_core.machine import Driver
from esrt_core.weights.catalog import bundled_rows
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_driver", lambda: Driver("550.54", "12.4"))
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.torch.version, "cuda", None)
    monkeypatch.setattr(machine.torch.version, "hip", None)


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


def test_an_index_that_cannot_be_had_hides_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESRT_INDEX", "none.json")
    done = run("info")
    assert done.code == 0
    assert "error: index" in done.err
    assert b"(bundled): ok" in done.out
