"""Predict what the bundled kinds of weights gain over the clean ones on a picture, from its pixels and its container.

A small convolutional network says for every block of 8 x 8 px how large the error of the clean weights would be, and
how many times as large that of the others. PSNR compares sums of errors, in which few places count for most; a sum over
blocks finds these. The network runs in NumPy, on the windows that `damage.look` takes. Its constants are made by
benchmarks/fit_auto.py; benchmarks/auto.md says what the choice loses.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.numpy import load_file

from esrt_core.evaluation.damage import FEATURES, Look

CONSTANTS = Path(__file__).with_name("prediction.safetensors")
CODECS = ("webp", "avif", "heic", "h264", "hevc")  # whose bits tell something; other lossy video counts as H.264
KINDS = ("photo", "drawing")  # besides clean
LIMIT = 4.0  # of a standardized input
INPUTS = (*FEATURES, "loss", *CODECS, *(f"{codec} bits" for codec in CODECS), "x3", "x4")
GRAY = 128.0  # which is 0 to the network
ENERGY_FLOOR, ENERGY_MEAN, ENERGY_SPREAD = 0.25, 1.5, 2.0  # of the first layer's logarithms
VARIANCE_FLOOR = 1e-4

Values = NDArray[np.float32]


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


def predict_gains(look: Look, container: Container, scale: int) -> Mapping[str, float]:
    """Return the expected gain in dB (PSNR on Y) over the clean weights, by kind of weights."""
    blocks = [block_features(window) for window in look.luma]
    outputs = np.stack(predict_errors(blocks, inputs_of(look, container, scale)))
    clean = np.exp(outputs[:, 0])
    return {
        kind: float(-10 * np.log10((clean * np.exp(outputs[:, place])).sum() / clean.sum()))
        for place, kind in enumerate(KINDS, 1)
    }


def inputs_of(look: Look, container: Container, scale: int) -> Values:
    """Return what the network is told besides pixels, in the order of INPUTS, for enlarging by `scale` (2, 3 or 4)."""
    features = look.features.copy()
    quality = container.quality or look.quality or 100
    features[FEATURES.index("quality")] = quality / 100
    bits = math.log2(max(container.bits, 1e-3))
    codec = [float(container.codec == name) for name in CODECS]
    told = [*features, math.log1p(100 - quality), *codec, *(each * bits for each in codec), scale == 3, scale == 4]
    return np.array(told, np.float32)


def block_features(luma: Values) -> Values:
    """Return the features of every block, (H / 8, W / 8, channels), of Y (H, W), 0..255."""
    constants = _constants()
    centered = (luma - np.float32(GRAY))[..., None]
    edges = _convolved(centered, constants["edges.weight"], padding="reflect")
    energies = (np.log(edges * edges + np.float32(ENERGY_FLOOR)) - np.float32(ENERGY_MEAN)) / np.float32(ENERGY_SPREAD)
    cells = np.maximum(_strided(energies, constants["cells.weight"]) + constants["cells.bias"], 0)
    cells = np.maximum(cells + _convolved(cells, constants["mixed.weight"]) + constants["mixed.bias"], 0)
    blocks = np.maximum(_strided(cells, constants["blocks.weight"]) + constants["blocks.bias"], 0)
    found: Values = np.maximum(blocks + _convolved(blocks, constants["wide.weight"]) + constants["wide.bias"], 0)
    return found


def predict_errors(blocks: list[Values], inputs: Values) -> list[Values]:
    """Return the logarithm of the clean weights' error, and those of the others' shares of it.

    blocks   of all windows of a picture, from block_features().
    inputs   from inputs_of().
    returns  (1 + len(KINDS), H / 8, W / 8) for every window.
    """
    constants = _constants()
    scaled = ((inputs - constants["mean"]) / constants["deviation"]).clip(-LIMIT, LIMIT)
    every = np.concatenate([block.reshape(-1, block.shape[-1]) for block in blocks])
    spread = np.sqrt(every.var(0) + np.float32(VARIANCE_FLOOR))
    hidden = np.maximum(_dense(np.concatenate([scaled, every.mean(0), spread]), "picture"), 0)
    factor, offset = np.split(_dense(hidden, "modulation"), 2)  # the whole picture changes what a block means
    return [
        np.moveaxis(_dense(np.maximum(_dense(block, "final") * (1 + factor) + offset, 0), "output"), -1, 0)
        for block in blocks
    ]


def _dense(values: Values, name: str) -> Values:
    constants = _constants()
    found: Values = values @ constants[f"{name}.weight"].T + constants[f"{name}.bias"]
    return found


def _convolved(pixels: Values, weight: Values, padding: str = "edge") -> Values:
    """Convolve (H, W, C) with (outputs, C, k, k); the borders are padded by reflection or repetition."""
    around = weight.shape[-1] // 2
    padded = np.pad(pixels, ((around, around), (around, around), (0, 0)), mode=padding)  # type: ignore[call-overload]
    windows = sliding_window_view(padded, weight.shape[2:], axis=(0, 1))  # (H, W, C, k, k)
    found: Values = windows.reshape(-1, weight[0].size) @ weight.reshape(len(weight), -1).T
    return found.reshape(*pixels.shape[:2], len(weight))


def _strided(pixels: Values, weight: Values) -> Values:
    """Convolve (H, W, C) with (outputs, C, k, k) at every k-th pixel; what is left at the bottom and right is cut."""
    side = weight.shape[-1]
    height, width = (length // side for length in pixels.shape[:2])
    cut = pixels[: height * side, : width * side].reshape(height, side, width, side, -1)
    windows = cut.transpose(0, 2, 4, 1, 3).reshape(height * width, -1)
    found: Values = windows @ weight.reshape(len(weight), -1).T
    return found.reshape(height, width, -1)


@lru_cache(maxsize=1)
def _constants() -> Mapping[str, Values]:
    return {name: array.astype(np.float32) for name, array in load_file(CONSTANTS).items()}
