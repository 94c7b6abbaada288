"""Small pictures as real programs damage them: of every picture and scale, damaged, and the same from the same seed."""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.damaged_pairs import main, softened
from esrt_core.evaluation.protocol import make_lr


def picture(side: int, seed: int) -> np.ndarray:
    """Return smooth waves with a fine pattern, which blur and codecs change."""
    y, x = np.mgrid[:side, :side]
    waves = 120 + 60 * np.sin(x / 7 + seed) + 40 * np.cos(y / 5) + 20 * ((x // 2 + y // 2) % 2)
    return np.stack([waves, waves[::-1], waves.T], -1).round().astype(np.uint8)


def test_every_picture_has_damaged_small_ones_of_the_right_size(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for seed in range(12):
        Image.fromarray(picture(198, seed)).save(folder / f"p{seed:02d}.png")
    main([str(tmp_path / "small"), str(folder), "--scales", "2", "3"])
    changed = 0
    for scale in (2, 3):
        for seed in range(12):
            small = np.asarray(Image.open(tmp_path / "small" / f"x{scale}" / f"p{seed:02d}.png"))
            hr = picture(198, seed)[: 198 // scale * scale, : 198 // scale * scale]
            clean = make_lr(hr, scale)
            assert small.shape == clean.shape
            assert np.abs(small.astype(int) - clean).mean() < 25  # the same picture still
            changed += bool((small != clean).any())
    assert changed >= 18  # a few stay undamaged


def test_the_seed_decides_the_damage(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for seed in range(6):
        Image.fromarray(picture(128, seed)).save(folder / f"p{seed}.png")

    def made(name: str, seed: str) -> list[bytes]:
        main([str(tmp_path / name), str(folder), "--scales", "2", "--seed", seed])
        return [path.read_bytes() for path in sorted((tmp_path / name / "x2").iterdir())]

    assert made("a", "1") == made("b", "1")
    assert made("c", "2") != made("a", "1")


def test_the_shares_say_how_many_are_soft_and_how_many_get_no_damage(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for seed in range(4):
        Image.fromarray(picture(128, seed)).save(folder / f"p{seed}.png")

    def unlike_the_protocol(soft: str) -> int:
        main([str(tmp_path / soft), str(folder), "--scales", "2", "--soft", soft, "--undamaged", "1"])
        small = [np.asarray(Image.open(path)) for path in sorted((tmp_path / soft / "x2").iterdir())]
        return sum(bool((each != make_lr(picture(128, seed), 2)).any()) for seed, each in enumerate(small))

    assert (unlike_the_protocol("0"), unlike_the_protocol("1")) == (0, 4)


def test_a_soft_reduction_keeps_the_place_and_the_levels() -> None:
    flat = np.full((48, 48, 3), 200, np.uint8)
    assert (softened(flat, 3, np.random.default_rng(0)) == 200).all()
    hr = picture(96, 0)
    plain = make_lr(hr, 2).astype(float)
    steps = []
    for seed in range(8):
        soft = softened(hr, 2, np.random.default_rng(seed)).astype(float)
        assert np.abs(soft - plain).mean() < 12
        moved = np.abs(soft[1:] - plain[:-1]).mean()
        assert np.abs(soft - plain).mean() < moved
        steps.append(np.abs(np.diff(soft, axis=1)).mean())
    assert min(steps) < 0.97 * np.abs(np.diff(plain, axis=1)).mean()  # some are softer
