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

from esrt_core.evaluation.damage import BLOCK, FEATURES, Look

CONSTANTS = Path(__file__).with_name("prediction.safetensors")
CODECS = ("webp", "avif", "heic", "h264", "hevc")  # whose bits tell something; other lossy video counts as H.264
KINDS = ("photo", "drawing")  # besides clean
LIMIT = 4.0  # of a standardized input
INPUTS = (*FEATURES, "loss", *CODECS, *(f"{codec} bits" for codec in CODECS), "x3", "x4")
GRAY = 128.0  # which is 0 to the network
CELL = 4  # px a side of what its second layer joins; the fourth joins four cells to a block
AROUND = 2  # px around a cell that its first layer sees
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
    """Return the features of every block, (H / 8, W / 8, channels), of Y (H, W), 0..255; a rest is cut."""
    network = _network()
    height, width = (length // BLOCK for length in luma.shape)
    responses = _patches(luma - np.float32(GRAY), 2 * height, 2 * width) @ network["edges"]
    cells = np.maximum(_energies(responses) @ network["cells"] + network["cells.bias"], 0)
    cells = cells.reshape(2 * height, 2 * width, -1)
    cells = np.maximum(cells + _convolved(cells, "mixed"), 0)
    pairs = cells.reshape(height, 2, width, 2, -1).swapaxes(1, 2).reshape(height, width, -1)
    blocks = np.maximum(pairs @ network["blocks"] + network["blocks.bias"], 0)
    found: Values = np.maximum(blocks + _convolved(blocks, "wide"), 0)
    return found


def predict_errors(blocks: list[Values], inputs: Values) -> list[Values]:
    """Return the logarithm of the clean weights' error, and those of the others' shares of it.

    blocks   of all windows of a picture, from block_features().
    inputs   from inputs_of().
    returns  (1 + len(KINDS), H / 8, W / 8) for every window.
    """
    network = _network()
    scaled = ((inputs - network["mean"]) / network["deviation"]).clip(-LIMIT, LIMIT)
    every = np.concatenate([block.reshape(-1, block.shape[-1]) for block in blocks])
    spread = np.sqrt(every.var(0) + np.float32(VARIANCE_FLOOR))
    hidden = np.maximum(_dense(np.concatenate([scaled, every.mean(0), spread]), "picture"), 0)
    factor, offset = np.split(_dense(hidden, "modulation"), 2)  # the whole picture changes what a block means
    return [
        np.moveaxis(_dense(np.maximum(_dense(block, "final") * (1 + factor) + offset, 0), "output"), -1, 0)
        for block in blocks
    ]


def _energies(responses: Values) -> Values:
    """Return standardized logarithms of squares, in place."""
    responses *= responses
    responses += np.float32(ENERGY_FLOOR)
    np.log(responses, out=responses)
    responses -= np.float32(ENERGY_MEAN)
    responses *= np.float32(1 / ENERGY_SPREAD)
    return responses


def _dense(values: Values, name: str) -> Values:
    network = _network()
    found: Values = values @ network[f"{name}.weight"].T + network[f"{name}.bias"]
    return found


def _convolved(pixels: Values, name: str) -> Values:
    """Convolve (H, W, C) by 3 x 3; the borders are repeated."""
    network = _network()
    height, width, channels = pixels.shape
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    windows = np.empty((height, width, 3, 3, channels), np.float32)
    for row, column in np.ndindex(3, 3):
        windows[:, :, row, column] = padded[row : row + height, column : column + width]
    found: Values = windows.reshape(height * width, -1) @ network[name] + network[f"{name}.bias"]
    return found.reshape(height, width, -1)


def _patches(luma: Values, height: int, width: int) -> Values:
    """Return (cells, px): every cell of 4 x 4 px and the AROUND px around it; the borders are mirrored."""
    padded = np.pad(luma, AROUND, mode="reflect")
    side = CELL + 2 * AROUND
    windows = sliding_window_view(padded, (side, side))[::CELL, ::CELL][:height, :width]
    return windows.reshape(height * width, -1)


def _by_cells(weight: Values) -> Values:
    """Return a convolution (outputs, 1, k, k) as the matrix that makes all its results in a cell from a patch.

    A patch of 8 x 8 px for 4 x 4 results copies 4 values for each of them; one of 5 x 5 px for every result copies 25.
    """
    outputs, _, kernel, _ = weight.shape
    side = CELL + kernel - 1
    found = np.zeros((side, side, CELL, CELL, outputs), np.float32)
    for row, column in np.ndindex(CELL, CELL):
        found[row : row + kernel, column : column + kernel, row, column] = weight[:, 0].transpose(1, 2, 0)
    return found.reshape(side * side, -1)


def _as_matrix(weight: Values) -> Values:
    """Return a convolution (outputs, C, k, k) as a matrix (k x k x C, outputs)."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, len(weight)))


@lru_cache(maxsize=1)
def _network() -> Mapping[str, Values]:
    """Return the parameters, and the convolutions as matrices."""
    parameters = {name: array.astype(np.float32) for name, array in load_file(CONSTANTS).items()}
    matrices = {name: _as_matrix(parameters[f"{name}.weight"]) for name in ("cells", "mixed", "blocks", "wide")}
    return {**parameters, **matrices, "edges": _by_cells(parameters["edges.weight"])}
