import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info

from esrt_core.errors import TrainingError
from esrt_core.evaluation.resample import imresize
from esrt_core.progress import Progress, ignore_progress
from esrt_core.training import bank
from esrt_core.training.bank import PictureBank, empty_bank, fill, open_store
from esrt_core.training.pictures import find_pictures
from tests.conftest import file_size_limit
from tests.training.conftest import write_pictures


def picture_of(bank: PictureBank, row: int) -> tuple[np.ndarray, np.ndarray]:
    height, width, first_lr, first_hr = bank.table[row]
    lr = bank.lr[first_lr : first_lr + height * width].reshape(height, width, 3)
    hr = bank.hr[first_hr : first_hr + height * width * bank.scale**2]
    return lr, hr.reshape(height * bank.scale, width * bank.scale, 3)


def test_a_bank_holds_hr_and_the_lr_of_the_protocol(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 3, width=40, height=32)
    pictures = find_pictures([tmp_path], 3, 8).usable
    bank, damaged = fill(empty_bank(pictures, 3), pictures, ignore_progress)
    assert damaged == ()
    for row, path in enumerate(paths):
        truth = np.asarray(Image.open(path))[:30, :39]
        lr, hr = picture_of(bank, row)
        assert np.array_equal(hr, truth)
        assert np.array_equal(lr, imresize(truth, 10, 13))


def test_decoding_keeps_blas_to_one_thread_for_its_time(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    pictures = find_pictures([tmp_path], 2, 8).usable
    seen: list[list[int]] = []
    before = blas_threads()
    fill(empty_bank(pictures, 2), pictures, lambda progress: seen.append(blas_threads()))
    assert before
    assert seen == [[1] * len(before)] * 2
    assert blas_threads() == before


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_a_picture_whose_data_are_damaged_is_left_out(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 3)
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    pictures = find_pictures([tmp_path], 2, 8).usable
    seen: list[Progress] = []
    bank, damaged = fill(empty_bank(pictures, 2), pictures, seen.append)
    assert [each.path for each in damaged] == [paths[1]]
    assert np.array_equal(picture_of(bank, 1)[1], np.asarray(Image.open(paths[2])))
    assert [(each.done, each.total) for each in seen] == [(1, 3), (2, 3), (3, 3)]


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


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"\0", b'{"stamp": 1}', None])
def test_a_damaged_store_is_built_again(pictures: Path, tmp_path: Path, content: bytes | None) -> None:
    found = find_pictures([pictures], 2, 8).usable
    expected = np.array(open_store(tmp_path / "cache", found, 2, ignore_progress)[0].lr)
    (folder,) = (tmp_path / "cache").iterdir()
    metadata = folder / "store.json"
    if content is None:  # a row beyond the pixels
        (folder / "store.json").write_bytes(
            metadata.read_bytes().replace(b'"table": [[', b'"table": [[9, 9, 0, 99999], [')
        )
    else:
        metadata.write_bytes(content)
    seen: list[Progress] = []
    again, _ = open_store(tmp_path / "cache", found, 2, seen.append)
    assert len(seen) == 5
    assert np.array_equal(again.lr, expected)


def test_a_store_of_cut_pixels_is_built_again(pictures: Path, tmp_path: Path) -> None:
    found = find_pictures([pictures], 2, 8).usable
    open_store(tmp_path / "cache", found, 2, ignore_progress)
    (folder,) = (tmp_path / "cache").iterdir()
    os.truncate(folder / "hr.u8", 100)
    seen: list[Progress] = []
    open_store(tmp_path / "cache", found, 2, seen.append)
    assert len(seen) == 5


def test_a_full_disk_is_noticed_first(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank, "free_bytes", lambda folder: 1000)
    with pytest.raises(TrainingError, match="free"):
        open_store(tmp_path / "cache", find_pictures([pictures], 2, 8).usable, 2, ignore_progress)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="blocks cannot be reserved here")
def test_a_disk_that_fills_up_is_one_line(pictures: Path, tmp_path: Path) -> None:
    found = find_pictures([pictures], 2, 8).usable
    with file_size_limit(1000), pytest.raises(TrainingError, match="cannot be written"):
        open_store(tmp_path / "cache", found, 2, ignore_progress)
    assert list((tmp_path / "cache").iterdir()) == []
