"""Predict what the bundled kinds of weights gain over the clean ones on a picture, from its pixels and its container.

The constants are those of prediction.json, which benchmarks/fit_auto.py makes; benchmarks/auto.md has its regret.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.evaluation.damage import FEATURES, Look

CONSTANTS = Path(__file__).with_name("prediction.json")
CODECS = ("webp", "avif", "heic", "h264", "hevc")  # whose bits tell something; other lossy video counts as H.264
KINDS = ("photo", "drawing")  # besides clean
OUTPUTS = ("photo", "is a drawing")
DRAWING_FROM, DRAWING_GAIN = 0.3, 0.8  # of an output between -1 and 1; dB
LIMIT = 4.0  # of a standardized input
INPUTS = (*FEATURES, "loss", *CODECS, *(f"{codec} bits" for codec in CODECS), "x3", "x4")


@dataclass(frozen=True)
class Container:
    """Hold what a file says about its compression.

    codec    one of CODECS, or "" for JPEG, for lossless formats and for pixels without a file.
    bits     per px and frame.
    quality  of a JPEG, by its tables, 1 to 100; None for all others.
    """

    codec: str = ""
    bits: float = 0.0
    quality: int | None = None


def inputs_of(look: Look, container: Container, scale: int) -> NDArray[np.float64]:
    """Return the inputs of the prediction in the order of INPUTS, for enlarging by `scale` (2, 3 or 4)."""
    features = look.features.copy()
    quality = container.quality or look.quality or 100
    features[FEATURES.index("quality")] = quality / 100
    bits = math.log2(max(container.bits, 1e-3))
    codec = [float(container.codec == name) for name in CODECS]
    return np.array(
        [*features, math.log1p(100 - quality), *codec, *(each * bits for each in codec), scale == 3, scale == 4]
    )


def predict_gains(look: Look, container: Container, scale: int) -> Mapping[str, float]:
    """Return the expected gain in dB (PSNR on Y) over the clean weights, by kind of weights."""
    return predict_from(inputs_of(look, container, scale))


def predict_from(inputs: NDArray[np.float64]) -> Mapping[str, float]:
    """Like predict_gains, from inputs_of()."""
    constants = _constants()
    scaled = ((inputs - constants.mean) / constants.deviation).clip(-LIMIT, LIMIT)
    return gains_of(constants.second @ np.tanh(constants.first @ scaled + constants.first_bias) + constants.second_bias)


def gains_of(outputs: NDArray[np.float64]) -> Mapping[str, float]:
    """Return the expected gains by kind, from what the network says.

    The gain of a drawing's own weights is a mean: predicting it, too, lost more on drawings that were left out. Smooth
    photos that lost much to JPEG can pass for drawings, but then the photo weights gain more.
    """
    photo, is_drawing = (float(value) for value in outputs)
    return {"photo": photo, "drawing": DRAWING_GAIN if is_drawing > DRAWING_FROM else -math.inf}


@dataclass(frozen=True)
class _Constants:
    """Hold the network of one hidden layer: inputs are standardized by `mean` and `deviation` and clipped."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    first: NDArray[np.float64]  # (hidden, inputs)
    first_bias: NDArray[np.float64]
    second: NDArray[np.float64]  # (outputs, hidden)
    second_bias: NDArray[np.float64]


@lru_cache(maxsize=1)
def _constants() -> _Constants:
    content: dict[str, Any] = json.loads(CONSTANTS.read_text(encoding="utf-8"))
    if tuple(content["inputs"]) != INPUTS:
        raise ValueError(f"{CONSTANTS.name} was made for other inputs; run benchmarks/fit_auto.py again")
    arrays = {name: np.array(content[name]) for name in _ARRAYS}
    return _Constants(**arrays)


_ARRAYS = ("mean", "deviation", "first", "first_bias", "second", "second_bias")
