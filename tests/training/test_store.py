import os
from pathlib import Path

import numpy as np
import pytest

from esrt_core.errors import TrainingError
from esrt_core.progress import Progress, ignore_progress
from esrt_core.training import store
from esrt_core.training.bank import empty_bank, fill
from esrt_core.training.pictures import find_pictures
from esrt_core.training.store import open_store


def test_a_store_holds_what_memory_would(pictures: Path, tmp_path: Path) -> None:
    found = find_pictures([pictures], 2, 8).usable
    memory, _ = fill(empty_bank(found, 2), found, ignore_progress)
    disk, damaged = open_store(tmp_path / "cache", found, 2, ignore_progress)
    assert damaged == ()
    assert np.array_equal(memory.lr, disk.lr)
    assert np.array_equal(memory.hr, disk.hr)
    assert np.array_equal(memory.table, disk.table)


def test_a_store_is_built_once_and_again_when_a_picture_changes(pictures: Path, tmp_path: Path) -> None:
    found = find_pictures([pictures], 2, 8).usable
    seen: list[Progress] = []
    open_store(tmp_path / "cache", found, 2, seen.append)
    assert len(seen) == 5
    open_store(tmp_path / "cache", found, 2, seen.append)
    assert len(seen) == 5
    os.utime(pictures / "0.png", (1, 1))
    open_store(tmp_path / "cache", found, 2, seen.append)
    assert len(seen) == 10
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_full_disk_is_noticed_first(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "free_bytes", lambda folder: 1000)
    with pytest.raises(TrainingError, match="free"):
        open_store(tmp_path / "cache", find_pictures([pictures], 2, 8).usable, 2, ignore_progress)
    assert list((tmp_path / "cache").iterdir()) == []
