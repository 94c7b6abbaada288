"""Photos made out of focus: discs of light, cut off at white, a sharp side, grain of the asked deviation."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.defocus import Optics, defocused, disc, drawn, main


def optics(**changes: float) -> Optics:
    values = {"radius": 8.0, "lights": 0.05, "brightness": 40.0, "lens": 0.5, "grain": 0.0, "coarseness": 0.5}
    return Optics(light=(1.0, 1.0, 1.0), **{**values, "sharp": -5.0, **changes})


def night(side: int = 96) -> np.ndarray:
    """Return one light on nearly black."""
    picture = np.full((side, side, 3), 10, np.uint8)
    picture[side // 2 - 1 : side // 2 + 2, side // 2 - 1 : side // 2 + 2] = 255
    return picture


def test_a_disc_has_the_sum_and_the_area_of_its_radius() -> None:
    for radius in (2.0, 7.5, 24.0):
        found = disc(radius)
        assert found.sum() == pytest.approx(1)
        assert 1 / found.max() == pytest.approx(np.pi * radius**2, rel=0.05)


def test_a_light_becomes_a_white_disc() -> None:
    made = defocused(night(), optics(), np.random.default_rng(0))
    assert made.shape == (96, 96, 3)
    assert made.dtype == np.uint8
    middle = made[48, 48 - 6 : 48 + 7]
    assert middle.min() > 200  # bright enough to be cut off, though spread over 200 px
    assert made[48, 48 + 14].max() < 40  # with a border
    assert made[:10].max() < 20


def test_what_is_in_focus_stays_as_it_is() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    sharp = defocused(picture, optics(sharp=5.0, lens=0.01), np.random.default_rng(0))
    assert np.abs(sharp.astype(int) - picture).max() <= 1


def test_grain_has_the_asked_deviation() -> None:
    gray = np.full((200, 200, 3), 128, np.uint8)
    made = defocused(gray, optics(grain=5.0, sharp=5.0), np.random.default_rng(0))
    assert made.std() == pytest.approx(5.0, rel=0.05)
    assert defocused(gray, optics(sharp=5.0), np.random.default_rng(0)).std() == pytest.approx(0, abs=0.01)


def test_colored_light_darkens_some_channels_and_cuts_others_off() -> None:
    gray = np.full((40, 40, 3), 150, np.uint8)
    made = defocused(gray, replace(optics(sharp=5.0), light=(4.0, 1.0, 0.01)), np.random.default_rng(0))
    red, green, blue = made[20, 20]
    assert (red, green) == (255, 150)
    assert blue == pytest.approx(150 * 0.01 ** (1 / 2.2), abs=1)


def test_a_share_of_the_pictures_stands_in_colored_light() -> None:
    found = [drawn(np.random.default_rng(seed), 0.5).light for seed in range(60)]
    colored = [light for light in found if light != (1.0, 1.0, 1.0)]
    assert 15 < len(colored) < 45
    assert {light.index(max(light)) for light in colored} == {0, 1, 2}  # red, green and blue light
    assert all(max(light) >= 1 > min(light) for light in colored)


def test_optics_differ_by_seed_and_some_have_no_grain() -> None:
    found = [drawn(np.random.default_rng(seed), 0.0) for seed in range(60)]
    assert len({each.radius for each in found}) == 60
    assert 0 < sum(each.grain == 0 for each in found) < 60


def test_the_command_writes_the_same_pictures_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(night()).save(tmp_path / "photos" / "7_light.png")
    written = []
    for folder in ("first", "second"):
        arguments = [str(tmp_path / folder), "--photos", str(tmp_path / "photos"), "--count", "2", "--seed", "5"]
        monkeypatch.setattr(sys, "argv", ["defocus", *arguments])
        main()
        written.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert written[0] == written[1]
    assert sorted(written[0]) == ["7_light-defocused-00005.png", "7_light-defocused-00006.png"]
