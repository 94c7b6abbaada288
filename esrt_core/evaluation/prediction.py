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
OUTPUTS = (*KINDS, "is a drawing")  # gains in dB; and above 0 for a drawing
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


@dataclass(frozen=True)
class Prediction:
    """Hold the expected gains in dB (PSNR on Y) over the clean weights, by kind of weights, and what was seen."""

    gains: Mapping[str, float]
    is_drawing: bool


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


def predict(look: Look, container: Container, scale: int) -> Prediction:
    """Predict the gains on a picture that is enlarged by `scale` (2, 3 or 4)."""
    return predict_from(inputs_of(look, container, scale))


def predict_from(inputs: NDArray[np.float64]) -> Prediction:
    """Like predict, from inputs_of()."""
    constants = _constants()
    scaled = ((inputs - constants.mean) / constants.deviation).clip(-LIMIT, LIMIT)
    outputs = constants.second @ np.tanh(constants.first @ scaled + constants.first_bias) + constants.second_bias
    found = dict(zip(OUTPUTS, outputs.tolist(), strict=True))
    return Prediction({kind: found[kind] for kind in KINDS}, found["is a drawing"] > 0)


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
    if (tuple(content["inputs"]), tuple(content["outputs"])) != (INPUTS, OUTPUTS):
        raise ValueError(f"{CONSTANTS.name} was made for others; run benchmarks/fit_auto.py again")
    arrays = {name: np.array(content[name]) for name in _ARRAYS}
    return _Constants(**arrays)


_ARRAYS = ("mean", "deviation", "first", "first_bias", "second", "second_bias")
