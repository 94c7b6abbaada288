from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from esrt_core.progress import ignore_progress
from esrt_core.training.bank import PictureBank, empty_bank, fill
from esrt_core.training.pictures import find_pictures
from esrt_core.training.sampler import Sampler, detail, draw_crops, oriented_grid

CPU = torch.device("cpu")


@pytest.fixture
def bank(pictures: Path) -> PictureBank:
    found = find_pictures([pictures], 2, 8).usable
    return fill(empty_bank(found, 2), found, ignore_progress)[0]


def test_lr_and_hr_show_the_same_place_turned_alike(bank: PictureBank) -> None:
    lr, hr = Sampler(bank, seed=0, device=CPU).batch(step=3, patch=12, count=16)
    assert lr.shape == (16, 3, 12, 12)
    assert hr.shape == (16, 3, 24, 24)
    assert lr.is_contiguous(memory_format=torch.channels_last)
    shrunk = F.interpolate(hr, scale_factor=0.5, mode="bicubic", antialias=True).clamp(0, 1)
    inner = (shrunk - lr)[..., 3:-3, 3:-3].abs()
    assert inner.max() < 2 / 255  # MATLAB rounds after each direction


def test_a_batch_depends_on_seed_and_step_alone(bank: PictureBank) -> None:
    sampler = Sampler(bank, seed=0, device=CPU)
    first = sampler.batch(7, 8, 4)
    sampler.batch(8, 8, 4)
    again = Sampler(bank, seed=0, device=CPU).batch(7, 8, 4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], sampler.batch(8, 8, 4)[0])
    assert not torch.equal(first[0], Sampler(bank, seed=1, device=CPU).batch(7, 8, 4)[0])


@pytest.mark.parametrize("method", ["batch", "damaged_batch"])
def test_processes_share_a_batch(bank: PictureBank, method: str) -> None:
    whole = getattr(Sampler(bank, 0, CPU), method)(5, 8, 6)[1]
    parts = [getattr(Sampler(bank, 0, CPU, rank, 2), method)(5, 8, 6)[1] for rank in range(2)]
    assert torch.equal(parts[0], whole[0::2])
    assert torch.equal(parts[1], whole[1::2])


def test_all_of_a_picture_is_drawn(bank: PictureBank) -> None:
    rows, top, left, turn = draw_crops(np.random.default_rng(0), bank.table, 8, 2000)
    assert set(rows.flat) == set(range(5))
    assert (top.min(), top.max(), left.min(), left.max()) == (0, 34 - 8, 0, 36 - 8)
    assert set(turn.flat) == set(range(8))


def test_the_turns_are_the_eight_of_a_square() -> None:
    down, across = oriented_grid(3, CPU)
    square = torch.arange(9).reshape(3, 3)
    assert len({tuple(square[down[turn], across[turn]].flatten().tolist()) for turn in range(8)}) == 8
    assert torch.equal(square[down[0], across[0]], square)


def test_flat_patches_are_drawn_less_often(bank: PictureBank) -> None:
    bank.lr[bank.table[1, 2] :] = 128  # all pictures but the first are flat
    bank.hr[bank.table[1, 3] :] = 128
    hr = Sampler(bank, 0, CPU).batch(0, 8, 400)[1]
    share = (hr.flatten(1).std(1) > 0.01).float().mean().item()
    assert share == pytest.approx(1 - 0.8**2, abs=0.08)


def test_detail_grows_with_contrast() -> None:
    noise = torch.randint(0, 256, (8, 8, 3), dtype=torch.uint8)
    flat = torch.full_like(noise, 9)
    values = detail(torch.stack([flat, noise // 4, noise]))
    assert values[0] == 0
    assert values[1] < values[2]


def test_damaged_lr_differs_from_clean_lr_and_has_eight_bits(bank: PictureBank) -> None:
    lr, hr = Sampler(bank, 0, CPU).damaged_batch(0, 8, 16)
    assert lr.shape == (16, 3, 8, 8)
    assert hr.shape == (16, 3, 16, 16)
    assert torch.equal((lr * 255).round(), lr * 255)
    again, _ = Sampler(bank, 0, CPU).damaged_batch(0, 8, 16)
    assert torch.equal(lr, again)
