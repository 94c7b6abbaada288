"""What the kinds of weights are expected to gain."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch.nn.functional import conv2d, linear, pad, relu

from esrt_core.evaluation.damage import FEATURES, look
from esrt_core.evaluation.prediction import (
    CONSTANTS,
    ENERGY_FLOOR,
    ENERGY_MEAN,
    ENERGY_SPREAD,
    GRAY,
    INPUTS,
    KINDS,
    LIMIT,
    VARIANCE_FLOOR,
    Container,
    block_features,
    inputs_of,
    predict_errors,
    predict_gains,
)
from esrt_core.media.frame import Frame
from tests.evaluation.pictures import Rgb, drawing, jpeg, smooth, texture


def gains(pixels: Rgb, container: Container = Container(), scale: int = 2) -> tuple[float, float]:  # noqa: B008
    found = predict_gains(look([Frame((pixels,))]), container, scale)
    return found["photo"], found["drawing"]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_more_is_lost_the_more_the_photo_weights_gain(scale: int) -> None:
    expected = [gains(jpeg(texture(), quality), scale=scale)[0] for quality in (97, 70, 40)]
    assert gains(texture(), scale=scale)[0] < 0.05
    assert expected == sorted(expected)
    assert expected[-1] > 0.2


def test_noise_makes_photo_weights_better() -> None:
    random = np.random.default_rng(0)
    noisy = [smooth() + random.normal(0, sigma, (160, 192, 1)) for sigma in (2, 8)]
    expected = [gains(np.asarray(each.clip(0, 255).round(), np.uint8))[0] for each in noisy]
    assert expected[1] > expected[0]
    assert expected[1] > 0.5


def test_drawings_gain_by_their_own_weights_and_photos_do_not() -> None:
    assert gains(drawing())[1] > 0.2
    assert gains(texture())[1] < 0


def test_the_quality_that_the_file_states_goes_before_the_one_that_was_found() -> None:
    seen = look([Frame((jpeg(texture(), 50),))])
    place = FEATURES.index("quality")
    assert inputs_of(seen, Container(), 2)[place] == 0.5
    assert inputs_of(seen, Container(quality=80), 2)[place] == pytest.approx(0.8)


def test_containers_and_scales_are_told_apart() -> None:
    seen = look([Frame((texture(),))])
    plain = dict(zip(INPUTS, inputs_of(seen, Container(), 2), strict=True))
    webp = dict(zip(INPUTS, inputs_of(seen, Container("webp", 4.0), 3), strict=True))
    assert {name: webp[name] for name in INPUTS if webp[name] != plain[name]} == {"webp": 1, "webp bits": 2, "x3": 1}


@pytest.mark.parametrize(("height", "width"), [(40, 56), (45, 31)])
def test_the_network_is_the_one_that_torch_computes(height: int, width: int) -> None:
    random = np.random.default_rng(1)
    windows = random.uniform(0, 255, (2, height, width)).astype(np.float32)
    inputs = np.linspace(-1, 1, len(INPUTS), dtype=np.float32)
    expected = in_torch(torch.from_numpy(windows), torch.from_numpy(inputs))
    found = predict_errors([block_features(window) for window in windows], inputs)
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-3, atol=1e-3)


def in_torch(luma: torch.Tensor, inputs: torch.Tensor) -> NDArray[np.float32]:
    """Return what the network says of windows (N, H, W) of one picture, in PyTorch's own layers."""
    c = {name: torch.from_numpy(array.astype(np.float32)) for name, array in load_file(CONSTANTS).items()}
    edges = conv2d(pad(luma[:, None] - GRAY, (2, 2, 2, 2), mode="reflect"), c["edges.weight"])
    energies = (torch.log(edges.square() + ENERGY_FLOOR) - ENERGY_MEAN) / ENERGY_SPREAD
    height, width = (length // 8 * 2 for length in luma.shape[1:])  # cells of whole blocks
    found = relu(conv2d(energies, c["cells.weight"], c["cells.bias"], stride=4))[..., :height, :width]
    found = relu(found + conv2d(pad(found, (1, 1, 1, 1), mode="replicate"), c["mixed.weight"], c["mixed.bias"]))
    found = relu(conv2d(found, c["blocks.weight"], c["blocks.bias"], stride=2))
    found = relu(found + conv2d(pad(found, (1, 1, 1, 1), mode="replicate"), c["wide.weight"], c["wide.bias"]))
    scaled = ((inputs - c["mean"]) / c["deviation"]).clamp(-LIMIT, LIMIT)
    spread = (found.var((0, 2, 3), correction=0) + VARIANCE_FLOOR).sqrt()
    told = torch.cat([scaled, found.mean((0, 2, 3)), spread])
    factor, offset = linear(
        relu(linear(told, c["picture.weight"], c["picture.bias"])), c["modulation.weight"], c["modulation.bias"]
    ).chunk(2)
    final = relu(linear(found.movedim(1, -1), c["final.weight"], c["final.bias"]) * (1 + factor) + offset)
    outputs: NDArray[np.float32] = linear(final, c["output.weight"], c["output.bias"]).movedim(-1, 1).numpy()
    return outputs


@pytest.mark.parametrize(("height", "width"), [(24, 24), (97, 31), (40, 300)])
def test_any_size_has_a_prediction(height: int, width: int) -> None:
    seen = look([Frame((np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8),))])
    found = predict_gains(seen, Container(), 2)
    assert list(found) == list(KINDS)
    assert all(math.isfinite(gain) for gain in found.values())


def test_the_sum_of_errors_decides_and_not_the_number_of_places() -> None:
    """Half a picture of noise weighs more than half a picture of nothing."""
    noise = np.random.default_rng(0).normal(128, 12, (96, 96, 1)).clip(0, 255).round().astype(np.uint8).repeat(3, 2)
    flat = np.full_like(noise, 128)
    whole, half = gains(noise)[0], gains(np.concatenate([noise, flat], axis=1))[0]
    assert half == pytest.approx(whole, abs=0.5 * abs(whole))
