from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from esrt_core.system.memory import available_bytes, total_bytes


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=9_000_000, available=4_000_000))


def test_without_a_container_the_machine_counts(tmp_path: Path) -> None:
    assert (total_bytes(tmp_path), available_bytes(tmp_path)) == (9_000_000, 4_000_000)


@pytest.mark.parametrize(
    ("limit", "total", "available"),
    [
        ("3000000\n", 3_000_000, 2_000_000),
        ("20000000\n", 9_000_000, 4_000_000),
        ("max\n", 9_000_000, 4_000_000),
        ("900000\n", 900_000, 0),  # lowered below what is in use
    ],
)
def test_the_smaller_of_machine_and_container_counts(tmp_path: Path, limit: str, total: int, available: int) -> None:
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text("1000000\n")
    assert (total_bytes(tmp_path), available_bytes(tmp_path)) == (total, available)
