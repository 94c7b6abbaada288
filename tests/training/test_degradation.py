import io

import numpy as np
import pytest
import torch
from PIL import Image

from esrt_core.evaluation.resample import imresize
from esrt_core.training.degradation import (
    KERNELS,
    QUALITIES,
    Damage,
    degrade,
    draw_damage,
    jpeg,
    quantization,
    region_side,
)


def damage_of(count: int, **changes: object) -> Damage:
    zeros = np.zeros(count)
    base = {
        "blur": zeros,
        "kernel": zeros.astype(int),
        "noise": zeros,
        "colored": zeros > 1,
        "quality": zeros.astype(int),
    }
    return Damage(**{**base, "halved": zeros > 1, **changes})  # type: ignore[arg-type]


def picture(count: int = 1, side: int = 48) -> torch.Tensor:
    coarse = torch.rand((count, 3, 12, 12), generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_undamaged_lr_is_that_of_the_protocol(scale: int) -> None:
    hr = (picture() * 255).round() / 255
    lr = degrade(hr, scale, damage_of(1), seed=0)
    pixels = (hr[0] * 255).permute(1, 2, 0).to(torch.uint8).numpy()
    truth = imresize(pixels, 48 // scale, 48 // scale).astype(np.float32)
    inner = np.abs(lr[0].permute(1, 2, 0).numpy() * 255 - truth)[3:-3, 3:-3]
    assert inner.max() < 2  # MATLAB rounds after each direction


def test_every_kernel_keeps_a_flat_picture_and_differs_on_others() -> None:
    kernels = np.arange(len(KERNELS))
    flat = torch.full((len(KERNELS), 3, 24, 24), 0.6)
    assert torch.allclose(degrade(flat, 2, damage_of(4, kernel=kernels), 0), torch.tensor(0.6), atol=1e-6)
    results = degrade(picture().repeat(4, 1, 1, 1), 2, damage_of(4, kernel=kernels), 0)
    assert all(not torch.equal(results[i], results[j]) for i in range(4) for j in range(i))


def test_each_damage_does_what_its_name_says() -> None:
    hr = picture()
    clean = degrade(hr, 2, damage_of(1), 0)
    blurred = degrade(hr, 2, damage_of(1, blur=np.array([0.5])), 0)
    assert blurred.diff(dim=3).abs().mean() < clean.diff(dim=3).abs().mean()
    gray = degrade(torch.full_like(hr, 0.5), 2, damage_of(1, noise=np.array([5.0])), 0)
    assert torch.equal(gray[:, 0], gray[:, 2])
    assert gray.std().item() * 255 == pytest.approx(5, rel=0.15)
    colored = damage_of(1, noise=np.array([5.0]), colored=np.array([True]))
    assert not torch.equal(*degrade(torch.full_like(hr, 0.5), 2, colored, 0)[:, ::2].unbind(1))
    compressed = degrade(hr, 2, damage_of(1, quality=np.array([30])), 0)
    assert 0 < (compressed - clean).abs().mean() < 0.1


def test_the_seed_decides_the_noise() -> None:
    noisy = damage_of(1, noise=np.array([5.0]))
    first, again, other = (degrade(picture(), 2, noisy, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_is_drawn_covers_the_range_with_undamaged_samples_among_it() -> None:
    drawn = draw_damage(np.random.default_rng(0), 4000)
    qualities = drawn.quality[drawn.quality > 0]
    assert (qualities.min(), qualities.max()) == QUALITIES
    assert set(drawn.kernel) == set(range(len(KERNELS)))
    untouched = (drawn.blur == 0) & (drawn.noise == 0) & (drawn.quality == 0) & (drawn.kernel == 0)
    assert 0.15 < untouched.mean() < 0.25
    assert drawn.blur.max() <= 0.5
    assert drawn.noise.max() <= 6


@pytest.mark.parametrize("patch", [8, 24, 32, 48])
def test_a_region_leaves_room_for_every_place_of_the_grid(patch: int) -> None:
    assert region_side(patch) % 16 == 0
    assert region_side(patch) - patch >= 15


Pixels = np.ndarray


def smooth_picture() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    return Image.fromarray(coarse).resize((75, 61), Image.Resampling.BICUBIC)


def by_pillow(image: Image.Image, quality: int, halved: bool) -> Pixels:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=2 if halved else 0)
    return np.asarray(Image.open(file), np.float32)


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("quality", [30, 50, 75, 95])
def test_it_is_what_pillow_saves_and_opens(quality: int, halved: bool) -> None:
    image = smooth_picture()
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    ours = jpeg(pixels, torch.tensor([quality]), torch.tensor([halved]))[0].permute(1, 2, 0).numpy()
    theirs = by_pillow(image, quality, halved)
    assert np.abs(ours - theirs).mean() < 1
    loss, expected = (np.abs(result - np.asarray(image, np.float32)).mean() for result in (ours, theirs))
    assert loss == pytest.approx(expected, rel=0.05)


def test_the_tables_are_libjpegs() -> None:
    file = io.BytesIO()
    smooth_picture().save(file, "JPEG", quality=40)
    tables = Image.open(file).quantization  # type: ignore[attr-defined]
    luma, chroma = quantization(torch.tensor([40]))
    assert sorted(luma.flatten().tolist()) == sorted(tables[0])
    assert sorted(chroma.flatten().tolist()) == sorted(tables[1])


def test_each_picture_of_a_batch_has_its_own_quality() -> None:
    pixels = torch.from_numpy(np.array(smooth_picture())).permute(2, 0, 1)[None].float().repeat(2, 1, 1, 1)
    both = jpeg(pixels, torch.tensor([30, 95]), torch.tensor([True, False]))
    alone = jpeg(pixels[:1], torch.tensor([30]), torch.tensor([True]))
    assert torch.equal(both[:1], alone)
    assert (both[1] - pixels[1]).abs().mean() < (both[0] - pixels[0]).abs().mean()
