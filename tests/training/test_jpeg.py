import io

import numpy as np
import pytest
import torch
from PIL import Image

from esrt_core.training.jpeg import jpeg, quantisation

Pixels = np.ndarray


def picture() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    return Image.fromarray(coarse).resize((75, 61), Image.Resampling.BICUBIC)


def by_pillow(image: Image.Image, quality: int, halved: bool) -> Pixels:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=2 if halved else 0)
    return np.asarray(Image.open(file), np.float32)


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("quality", [30, 50, 75, 95])
def test_it_is_what_pillow_saves_and_opens(quality: int, halved: bool) -> None:
    image = picture()
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    ours = jpeg(pixels, torch.tensor([quality]), torch.tensor([halved]))[0].permute(1, 2, 0).numpy()
    theirs = by_pillow(image, quality, halved)
    assert np.abs(ours - theirs).mean() < 1
    loss, expected = (np.abs(result - np.asarray(image, np.float32)).mean() for result in (ours, theirs))
    assert loss == pytest.approx(expected, rel=0.05)


def test_the_tables_are_libjpegs() -> None:
    file = io.BytesIO()
    picture().save(file, "JPEG", quality=40)
    tables = Image.open(file).quantization  # type: ignore[attr-defined]
    luma, chroma = quantisation(torch.tensor([40]))
    assert sorted(luma.flatten().tolist()) == sorted(tables[0])
    assert sorted(chroma.flatten().tolist()) == sorted(tables[1])


def test_each_picture_of_a_batch_has_its_own_quality() -> None:
    pixels = torch.from_numpy(np.array(picture())).permute(2, 0, 1)[None].float().repeat(2, 1, 1, 1)
    both = jpeg(pixels, torch.tensor([30, 95]), torch.tensor([True, False]))
    alone = jpeg(pixels[:1], torch.tensor([30]), torch.tensor([True]))
    assert torch.equal(both[:1], alone)
    assert (both[1] - pixels[1]).abs().mean() < (both[0] - pixels[0]).abs().mean()
