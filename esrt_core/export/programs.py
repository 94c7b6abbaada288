"""The network in a form that can leave Python: one image in, one out, no branch on its size.

What an exported program says about itself.

An exported program is run and compared with the network before it is called done.

ONNX: one file, weights and metadata inside, run by onnxruntime and others.

torch.export's format: a program for torch, without this package.
"""

import copy
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
# px; below it the last piece of the sequence may be empty, which a program without branches cannot skip
MIN_EXPORT_SIDE = 4

SMALL_TILE = 128  # px; two larger ones at once would take more memory to check than one needs to be used


class DynamicEMHA(nn.Module):
    """EMHA over the whole input with the length of the sequence as a variable.

    The network's own form asks whether the four pieces are equal; a program that takes every size always has four
    slices, the last one open-ended.
    """

    def __init__(self, emha: EMHA) -> None:
        super().__init__()
        self.emha = emha

    def forward(self, tokens: Tensor, size: tuple[int, int], windows: Windows = WHOLE) -> Tensor:
        """Attend as EMHA does: (B, N, dim) in and out; `size` and `windows` are there for EMHA's place alone."""
        qkv: Tensor = self.emha.qkv(self.emha.reduce(tokens))  # (B, N, 3 * heads * d)
        n = (qkv.shape[1] + 3) // 4
        pieces = (qkv[:, :n], qkv[:, n : 2 * n], qkv[:, 2 * n : 3 * n], qkv[:, 3 * n :])
        attended = [attention(piece, self.emha.heads, self.emha.scale) for piece in pieces]
        expanded: Tensor = self.emha.expand(torch.cat(attended, 1))
        return expanded


class Program(nn.Module):
    """The network with its windows fixed: `image` (B, 3, H, W) in, (B, 3, scale * H, scale * W) out."""

    def __init__(self, network: ESRT, windows: Windows) -> None:
        super().__init__()
        self.network = network
        self.windows = windows

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge images."""
        enlarged: Tensor = self.network(image, self.windows)
        return enlarged


@dataclass(frozen=True)
class Form:
    """Hold what is exported and what it has to equal.

    network  the reference; `windows` are those of its attention.
    program  the same numbers in exportable form.
    tile     side of the only input in px, or None: any height and width from MIN_EXPORT_SIDE.
    """

    network: ESRT
    windows: Windows
    program: Program
    tile: int | None

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(B, H, W) at which the result is checked: every rest of H * W by 4, odd and even sides, the smallest."""
        if self.tile is not None:
            single = (1, self.tile, self.tile)
            return (single, (2, self.tile, self.tile)) if self.tile <= SMALL_TILE else (single,)
        return (1, MIN_EXPORT_SIDE, MIN_EXPORT_SIDE), (1, 5, 7), (2, 6, 7), (1, 9, 13), (1, 8, 10), (1, 31, 45)


def whole_form(network: ESRT) -> Form:
    """Return the paper's form: attention over the whole image, height and width free."""
    free = copy.deepcopy(network).eval()
    free.ltb.et.emha = DynamicEMHA(free.ltb.et.emha)  # type: ignore[assignment]
    return Form(network, WHOLE, Program(free, WHOLE), None)


def tile_form(network: ESRT, tile: int) -> Form:
    """Return the form for tiles of `tile` x `tile` px, with the attention windows that the engine has there."""
    count = window_count(tile, tiling_for("cpu").window)
    windows = (count, count)
    return Form(network, windows, Program(network, windows), tile)


def capture(form: Form) -> ExportedProgram:
    """Trace the program by torch.export; the batch is free, and height and width unless it is for tiles."""
    height, width = (form.tile, form.tile) if form.tile else (17, 19)
    free = {0: Dim("batch", min=1)}
    if form.tile is None:
        free |= {2: Dim("height", min=MIN_EXPORT_SIDE), 3: Dim("width", min=MIN_EXPORT_SIDE)}
    with torch.no_grad():
        return torch.export.export(form.program, (torch.rand(2, 3, height, width),), dynamic_shapes={INPUT: free})


def program_card(metadata: CheckpointMetadata, form: Form) -> dict[str, str]:
    """Return the entries that travel with a program: those of its weights, and what goes in and comes out."""
    scale = metadata.scale
    card = metadata.to_strings() | {
        "input": "float32, batch x 3 x height x width, RGB, 0 to 1",
        "output": f"float32, batch x 3 x {scale} height x {scale} width, RGB, 0 to 1 but not clamped",
        "windows": f"{form.windows[0]} x {form.windows[1]}",
    }
    if form.tile is None:
        return card | {"size": f"any height and width from {MIN_EXPORT_SIDE} px"}
    return card | {"size": f"{form.tile} x {form.tile} px", "halo": f"{tiling_for('cpu').halo} px"}


Images = NDArray[np.float32]  # (B, 3, H, W)
Run = Callable[[Images], NDArray[Any]]
TOLERANCE = 1e-4  # of a range of 1; other kernels sum in another order, which was seen to make up to 2e-5


def largest_difference(run: Run, form: Form) -> float:
    """Run a program at the form's shapes and return the largest difference from the network's own output.

    Raises WeightsError when that is more than TOLERANCE, or another shape.
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
            raise WeightsError(f"the exported program makes {found.shape} of {size}, expected {expected.shape}; {_WAY}")
        difference = float(np.abs(found - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):  # NaN is no less
            raise WeightsError(f"the exported program differs from the network by {difference:.1e} at {size}; {_WAY}")
        worst = max(worst, difference)
    return worst


_WAY = "nothing was written: try the versions in constraints.txt"


def write_onnx(form: Form, metadata: CheckpointMetadata, path: Path) -> float:
    """Write a program as ONNX and return its largest difference from the network, run by onnxruntime.

    Raises WeightsError where they differ, see largest_difference().
    """
    captured = capture(form)
    with _quiet_exporter():
        program = torch.onnx.export(captured, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT])
    if program is None:  # only the exporter without dynamo returns nothing
        raise AssertionError("torch.onnx.export returned no program")
    program.model.producer_name = "esrt"
    program.model.metadata_props.update(program_card(metadata, form))
    program.save(path, external_data=False)
    return largest_difference(onnx_runner(path), form)


def onnx_runner(path: Path) -> Run:
    """Return a function that runs an ONNX file on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of graphs that it can simplify
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images})[0]


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter from warning that torchvision is missing, and of its own deprecations."""
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


CARD = "esrt.json"  # torch.export.load() returns it through its extra_files


def write_pt2(form: Form, metadata: CheckpointMetadata, path: Path) -> float:
    """Write a program in torch.export's format and return its largest difference from the network, loaded again.

    Raises WeightsError where they differ, see largest_difference().
    """
    torch.export.save(capture(form), path, extra_files={CARD: json.dumps(program_card(metadata, form))})
    return largest_difference(pt2_runner(path), form)


def pt2_runner(path: Path) -> Run:
    """Return a function that loads a .pt2 file and runs it on the CPU."""
    program = torch.export.load(path).module()

    def run(images: Images) -> Images:
        with torch.inference_mode():
            enlarged: Images = program(torch.from_numpy(images)).numpy()
        return enlarged

    return run
