"""Small noisy pictures, and the shortest runs there can be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.training.options import TrainOptions

MakeOptions = Callable[..., TrainOptions]


def write_pictures(folder: Path, count: int, width: int = 40, height: int = 36) -> list[Path]:
    """Write pictures of noise, each its own."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        coarse = np.random.default_rng(index).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
        paths.append(folder / f"{index}.png")
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of five pictures of 72 x 68 px."""
    write_pictures(tmp_path / "pictures", 5, 72, 68)
    return tmp_path / "pictures"


@pytest.fixture
def make_options(tmp_path: Path, pictures: Path) -> MakeOptions:
    """Return a maker of options for a run of six steps of a tiny network."""
    base = TrainOptions(
        sources=(pictures,),
        scale=2,
        from_scratch=True,
        steps=6,
        out=tmp_path / "run",
        device="cpu",
        batch=2,
        patch=8,
        warmup=2,
        validations=3,
        channels=16,
        blocks=1,
    )

    def make(**changes: object) -> TrainOptions:
        return replace(base, **changes)  # type: ignore[arg-type]

    return make
