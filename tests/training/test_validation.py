from pathlib import Path

import numpy as np
import pytest

from esrt_core.errors import TrainingError
from esrt_core.evaluation.protocol import psnr_y
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.distributed import Replica
from esrt_core.training.pictures import find_pictures
from esrt_core.training.validation import Validator, cut_crops, damaged, enlarge


def test_crops_are_the_middles_and_keep_to_the_budget(pictures: Path) -> None:
    found = find_pictures([pictures], 2, 8).usable
    crops, _ = cut_crops(found, 2, budget=5 * 400)
    assert all(crop.lr.shape == (20, 20, 3) and crop.hr.shape == (40, 40, 3) for crop in crops)
    whole, _ = cut_crops(found, 2, budget=10**6)
    assert whole[0].lr.shape == (34, 36, 3)
    assert np.array_equal(whole[0].lr[7:27, 8:28], crops[0].lr)
    assert np.array_equal(whole[0].hr[14:54, 16:56], crops[0].hr)


def test_held_out_pictures_that_are_damaged_are_left_out(pictures: Path) -> None:
    path = pictures / "0.png"
    path.write_bytes(path.read_bytes()[:-500])
    crops, unusable = cut_crops(find_pictures([pictures], 2, 8).usable, 2, 2000)
    assert [crop.name for crop in crops] == [f"{index}.png" for index in range(1, 5)]
    assert [each.path for each in unusable] == [path]
    with pytest.raises(TrainingError, match=r"no held-out picture can be used.*0\.png"):
        cut_crops(find_pictures([path], 2, 8).usable, 2, 1000)


def test_the_mean_psnr_is_that_of_the_protocol(pictures: Path) -> None:
    crops, _ = cut_crops(find_pictures([pictures], 2, 8).usable, 2, 2000)
    network = ESRT(ESRTConfig(2, channels=16, blocks=1)).eval()
    validator = Validator(crops, 2, Replica())
    expected = np.mean([psnr_y(enlarge(network, crop.lr, Replica().device), crop.hr, 2) for crop in crops])
    assert validator.psnr(network) == pytest.approx(expected, abs=0.01)
    assert validator.bicubic_psnr() > validator.psnr(network)


def test_flat_colors_stay_what_they_are() -> None:
    flat = np.full((20, 20, 3), (200, 30, 90), np.uint8)
    network = ESRT(ESRTConfig(2, channels=16, blocks=1)).eval()
    large = enlarge(network, flat, Replica().device)
    assert large.shape == (40, 40, 3)
    assert np.array_equal(np.unique(large.reshape(-1, 3), axis=0), flat[0, :1])


def test_damaged_crops_are_the_same_every_time_and_worse(pictures: Path) -> None:
    crops, _ = cut_crops(find_pictures([pictures], 2, 8).usable, 2, 2000)
    first, again = damaged(crops, 2, seed=0), damaged(crops, 2, seed=0)
    assert all(np.array_equal(a.lr, b.lr) for a, b in zip(first, again, strict=True))
    assert Validator(first, 2, Replica()).bicubic_psnr() < Validator(crops, 2, Replica()).bicubic_psnr()
