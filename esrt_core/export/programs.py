"""Programs that run without this package: ONNX files and torch.export's .pt2, with weights and metadata inside.

The exported network has no branch on the size of its input. A program is run and compared with the network before it is
published.
"""

import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from esrt_core.engine.geometry import window_count
from esrt_core.engine.plan import tiling_for
from esrt_core.errors import WeightsError
from esrt_core.model.esrt import ESRT
from esrt_core.model.transformer import EMHA, WHOLE, Windows, attention
from esrt_core.weights.header import CheckpointMetadata

INPUT, OUTPUT = "image", "enlarged"
# px; below, the last piece of the sequence may be empty, which a program without branches cannot skip
MIN_EXPORT_SIDE = 4
SMALL_TILE = 128  # px; checking a batch of two larger tiles would take more memory than using one
TOLERANCE = 1e-4  # for a range of 1; other kernels sum in another order, which made a difference of up to 2e-5
CARD = "esrt.json"  # torch.export.load() returns it through its extra_files
_ADVICE = "nothing was written, try the versions in constraints.txt"

Images = NDArray[np.float32]  # (B, 3, H, W)
Run = Callable[[Images], NDArray[Any]]


class DynamicEMHA(nn.Module):
    """EMHA over the whole input for a sequence of variable length.

    EMHA branches on whether the four pieces are equally long; a program for every size always takes four slices, the
    last one open-ended.
    """

    def __init__(self, emha: EMHA) -> None:
        super().__init__()
        self.emha = emha

    def forward(self, tokens: Tensor, size: tuple[int, int], windows: Windows = WHOLE) -> Tensor:
        """Attend as EMHA does, (B, N, dim) to (B, N, dim); `size` and `windows` only match EMHA's signature."""
        qkv: Tensor = self.emha.qkv(self.emha.reduce(tokens))  # (B, N, 3 * heads * d)
        n = (qkv.shape[1] + 3) // 4
        pieces = (qkv[:, :n], qkv[:, n : 2 * n], qkv[:, 2 * n : 3 * n], qkv[:, 3 * n :])
        attended = [attention(piece, self.emha.heads, self.emha.scale) for piece in pieces]
        expanded: Tensor = self.emha.expand(torch.cat(attended, 1))
        return expanded


class Program(nn.Module):
    """The network with fixed windows: `image` (B, 3, H, W) to (B, 3, scale * H, scale * W)."""

    def __init__(self, network: ESRT, windows: Windows) -> None:
        super().__init__()
        self.network = network
        self.windows = windows

    def forward(self, image: Tensor) -> Tensor:
        """Upscale images."""
        enlarged: Tensor = self.network(image, self.windows)
        return enlarged


@dataclass(frozen=True)
class Form:
    """Hold the program to export and the reference to compare it with.

    network  the reference; `windows` are those of its attention.
    program  the same weights in exportable form.
    tile     side of the only accepted input in px, or None for any height and width from MIN_EXPORT_SIDE.
    """

    network: ESRT
    windows: Windows
    program: Program
    tile: int | None

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(B, H, W) for the check: all remainders of H * W by 4, odd and even sides, and the smallest size."""
        if self.tile is not None:
            single = (1, self.tile, self.tile)
            return (single, (2, self.tile, self.tile)) if self.tile <= SMALL_TILE else (single,)
        return (1, MIN_EXPORT_SIDE, MIN_EXPORT_SIDE), (1, 5, 7), (2, 6, 7), (1, 9, 13), (1, 8, 10), (1, 31, 45)


def whole_form(network: ESRT) -> Form:
    """Return the paper's form: attention over the whole image, for any height and width."""
    free = copy.deepcopy(network).eval()
    free.ltb.et.emha = DynamicEMHA(free.ltb.et.emha)  # type: ignore[assignment]
    return Form(network, WHOLE, Program(free, WHOLE), None)


def tile_form(network: ESRT, tile: int) -> Form:
    """Return the form for tiles of `tile` x `tile` px, with the engine's attention windows for that size."""
    count = window_count(tile, tiling_for("cpu").window)
    windows = (count, count)
    return Form(network, windows, Program(network, windows), tile)


def capture(form: Form) -> ExportedProgram:
    """Trace the program by torch.export with a dynamic batch, and dynamic height and width unless it is for tiles."""
    height, width = (form.tile, form.tile) if form.tile else (17, 19)
    free = {0: Dim("batch", min=1)}
    if form.tile is None:
        free |= {2: Dim("height", min=MIN_EXPORT_SIDE), 3: Dim("width", min=MIN_EXPORT_SIDE)}
    with torch.no_grad():
        return torch.export.export(form.program, (torch.rand(2, 3, height, width),), dynamic_shapes={INPUT: free})


def program_card(metadata: CheckpointMetadata, form: Form) -> dict[str, str]:
    """Return the metadata of a program: that of its weights, and its inputs and outputs."""
    scale = metadata.scale
    card = metadata.to_strings() | {
        "input": "float32, batch x 3 x height x width, RGB, 0 to 1",
        "output": f"float32, batch x 3 x {scale} height x {scale} width, RGB, 0 to 1 but not clamped",
        "windows": f"{form.windows[0]} x {form.windows[1]}",
    }
    if form.tile is None:
        return card | {"size": f"any height and width from {MIN_EXPORT_SIDE} px"}
    return card | {"size": f"{form.tile} x {form.tile} px", "halo": f"{tiling_for('cpu').halo} px"}


def largest_difference(run: Run, form: Form) -> float:
    """Run a program at the form's shapes and return the largest absolute difference from the network's output.

    Raises: WeightsError if that is above TOLERANCE, or the shape is different.
    """
    random = np.random.default_rng(0)
    worst = 0.0
    for batch, height, width in form.shapes:
        images = random.random((batch, 3, height, width), np.float32)
        with torch.inference_mode():
            expected = form.network(torch.from_numpy(images), form.windows).numpy()
        found = run(images)
        size = f"{batch} x 3 x {height} x {width}"
        if found.shape != expected.shape:
            raise WeightsError(f"the program makes {found.shape} of {size}, expected {expected.shape}; {_ADVICE}")
        difference = float(np.abs(found - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):  # true for NaN too
            raise WeightsError(f"the program differs from the network by {difference:.1e} at {size}; {_ADVICE}")
        worst = max(worst, difference)
    return worst


def write_onnx(form: Form, metadata: CheckpointMetadata, path: Path) -> float:
    """Write a program as one ONNX file; return the largest difference from the network when run by onnxruntime.

    Raises: WeightsError as largest_difference() does.
    """
    captured = capture(form)
    with _quiet_exporter():
        program = torch.onnx.export(captured, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT])
    if program is None:  # only the exporter without dynamo returns None
        raise AssertionError("torch.onnx.export returned no program")
    program.model.producer_name = "esrt"
    program.model.metadata_props.update(program_card(metadata, form))
    program.save(path, external_data=False)
    return largest_difference(onnx_runner(path), form)


def onnx_runner(path: Path) -> Run:
    """Return a function that runs an ONNX file on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; it warns of graphs that it can simplify
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images})[0]


def write_pt2(form: Form, metadata: CheckpointMetadata, path: Path) -> float:
    """Write a program in torch.export's format; load it again and return the largest difference from the network.

    Raises: WeightsError as largest_difference() does.
    """
    memory = io.BytesIO()  # torch's own writer hides the reason of an error, such as a full disk
    torch.export.save(capture(form), memory, extra_files={CARD: json.dumps(program_card(metadata, form))})
    path.write_bytes(memory.getbuffer())
    return largest_difference(pt2_runner(path), form)


def pt2_runner(path: Path) -> Run:
    """Return a function that loads a .pt2 file and runs it on the CPU."""
    program = torch.export.load(path).module()

    def run(images: Images) -> Images:
        with torch.inference_mode():
            enlarged: Images = program(torch.from_numpy(images)).numpy()
        return enlarged

    return run


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Suppress the exporter's warnings about missing torchvision and its own deprecations."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        registration.setLevel(level)
