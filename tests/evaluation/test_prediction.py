"""What the kinds of weights are expected to gain."""

import json
import math

import numpy as np
import pytest

from esrt_core.evaluation.damage import FEATURES, look
from esrt_core.evaluation.prediction import (
    CONSTANTS,
    DRAWING_GAIN,
    INPUTS,
    LIMIT,
    OUTPUTS,
    Container,
    gains_of,
    inputs_of,
    predict_from,
    predict_gains,
)
from esrt_core.media.frame import Frame
from tests.evaluation.pictures import Rgb, drawing, jpeg, smooth, texture


def gains(pixels: Rgb, container: Container = Container(), scale: int = 2) -> tuple[float, float]:  # noqa: B008
    found = predict_gains(look([Frame((pixels,))]), container, scale)
    return found["photo"], found["drawing"]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_more_is_lost_the_more_the_photo_weights_gain(scale: int) -> None:
    expected = [gains(jpeg(texture(), quality), scale=scale)[0] for quality in (97, 85, 50)]
    assert gains(texture(), scale=scale)[0] < 0.05
    assert expected == sorted(expected)
    assert expected[-1] > 0.2


def test_noise_makes_photo_weights_better() -> None:
    random = np.random.default_rng(0)
    noisy = [smooth() + random.normal(0, sigma, (160, 192, 1)) for sigma in (2, 8)]
    expected = [gains(np.asarray(each.clip(0, 255).round(), np.uint8))[0] for each in noisy]
    assert expected[1] > expected[0]
    assert expected[1] > 0.5


def test_only_drawings_get_the_weights_of_drawings() -> None:
    assert gains(drawing())[1] == DRAWING_GAIN
    assert gains(texture())[1] == -math.inf
    assert gains_of(np.array([0.3, 0.6])) == {"photo": 0.3, "drawing": DRAWING_GAIN}
    assert gains_of(np.array([-0.3, 0.2])) == {"photo": -0.3, "drawing": -math.inf}


def test_the_quality_that_the_file_states_goes_before_the_one_that_was_found() -> None:
    seen = look([Frame((jpeg(texture(), 50),))])
    place = FEATURES.index("quality")
    assert inputs_of(seen, Container(), 2)[place] == 0.5
    assert inputs_of(seen, Container(quality=80), 2)[place] == 0.8


def test_containers_and_scales_are_told_apart() -> None:
    seen = look([Frame((texture(),))])
    plain = dict(zip(INPUTS, inputs_of(seen, Container(), 2), strict=True))
    webp = dict(zip(INPUTS, inputs_of(seen, Container("webp", 4.0), 3), strict=True))
    assert {name: webp[name] for name in INPUTS if webp[name] != plain[name]} == {"webp": 1, "webp bits": 2, "x3": 1}


def test_the_constants_are_those_of_a_network_of_one_hidden_layer() -> None:
    content = json.loads(CONSTANTS.read_text(encoding="utf-8"))
    assert (tuple(content["inputs"]), tuple(content["outputs"])) == (INPUTS, OUTPUTS)
    arrays = {name: np.array(value) for name, value in content.items() if name not in ("inputs", "outputs")}
    inputs = arrays["mean"] + np.linspace(-5, 5, len(INPUTS)) * arrays["deviation"]
    scaled = np.linspace(-5, 5, len(INPUTS)).clip(-LIMIT, LIMIT)
    hidden = np.tanh(arrays["first"] @ scaled + arrays["first_bias"])
    expected = gains_of(arrays["second"] @ hidden + arrays["second_bias"])
    assert predict_from(inputs) == pytest.approx(expected, rel=1e-6)
