"""A picture damaged as another one looks damaged."""

import io

import numpy as np
import pytest
from PIL import Image

from esrt_core.compare.reproduce import reproduced_damage
from esrt_core.evaluation.damage import Look, look
from esrt_core.evaluation.prediction import Container
from esrt_core.media.frame import Frame
from tests.evaluation.pictures import Rgb, jpeg, smooth, texture


def seen(pixels: Rgb) -> Look:
    return look([Frame((pixels,))])


@pytest.mark.parametrize("quality", [40, 80])
def test_a_jpeg_kept_as_png_is_reproduced_at_its_quality(quality: int) -> None:
    damaged = jpeg(texture(), quality)
    damage = reproduced_damage(damaged, seen(damaged), Container())
    assert damage is not None
    other = texture(seed=3)
    assert (damage(other) == jpeg(other, quality)).all()


def test_the_quality_of_the_file_goes_before_what_was_found() -> None:
    damage = reproduced_damage(texture(), seen(texture()), Container(quality=70))
    assert damage is not None
    assert seen(damage(texture())).quality == 70


@pytest.mark.parametrize("quality", [30, 80])
def test_webp_is_reproduced_by_its_bits(quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(texture()).save(file, "WEBP", quality=quality)
    bits = 8 * len(file.getvalue()) / (160 * 192)
    decoded = np.array(Image.open(file).convert("RGB"))
    damage = reproduced_damage(texture(), seen(decoded), Container("webp", bits))
    assert damage is not None
    again = damage(texture()).astype(float)
    strength = [np.abs(each - texture()).mean() for each in (decoded.astype(float), again)]
    assert strength[1] == pytest.approx(strength[0], rel=0.2)


def test_noise_is_reproduced_at_its_strength() -> None:
    random = np.random.default_rng(5)
    noisy = np.asarray((smooth() + random.normal(0, 6, (160, 192, 1))).clip(0, 255).round(), np.uint8)
    damage = reproduced_damage(noisy, seen(noisy), Container())
    assert damage is not None
    added = damage(np.full((80, 80, 3), 128, np.uint8)).astype(float) - 128
    assert added.std() == pytest.approx(6, rel=0.25)


def test_what_is_not_damaged_or_not_known_is_not_reproduced() -> None:
    assert reproduced_damage(texture(), seen(texture()), Container()) is None
    assert reproduced_damage(smooth(), seen(smooth()), Container()) is None
