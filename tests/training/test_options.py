from pathlib import Path

import pytest

from esrt_core.errors import OptionError
from esrt_core.training.options import TrainOptions

HERE = (Path("pictures"),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 5},
        {"steps": 0},
        {"steps": 10, "seconds": 10.0},
        {"seconds": 0.0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"ema": 1.0},
        {"batch": 0},
        {"patch": 4},
        {"degrade": "anime"},
        {"optimizer": "sgd"},
        {"mse_last": 1.5},
        {"max_pixels": 0},
        {"device": "gpu"},
        {"device": "cuda:0,cuda:1"},
        {"lr_dir": Path("small"), "degrade": "photo"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError) as refused:
        TrainOptions(**{"sources": HERE, "scale": 2, **wrong})  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_a_run_without_a_length_takes_half_an_hour() -> None:
    assert TrainOptions(HERE, 2).length_seconds == 1800
    assert TrainOptions(HERE, 2, seconds=60.0).length_seconds == 60
    assert TrainOptions(HERE, 2, steps=5).length_seconds is None


def test_the_folder_is_named_after_the_pictures_or_the_name() -> None:
    assert TrainOptions(HERE, 2).folder == Path("runs/pictures-x2")
    assert TrainOptions(HERE, 3, name="mine").folder == Path("runs/mine-x3")
    assert TrainOptions(HERE, 3, out=Path("here")).folder == Path("here")
