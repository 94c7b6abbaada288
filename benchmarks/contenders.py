"""The contenders of benchmarks.speed: each upscales one picture, (H, W, 3) uint8, in a process of its own."""

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from esrt_core.engine.fused import fuse
from esrt_core.engine.native import NativeESRT
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.plan import make_plan
from esrt_core.engine.upscaler import Upscaler
from esrt_core.media.frame import Frame
from esrt_core.model import ESRT
from esrt_core.weights.checkpoint import load_checkpoint, weights_of
from esrt_core.weights.store import resolve

Rgb = NDArray[np.uint8]
Run = Callable[[Rgb], None]
Batches = Callable[[Rgb], Iterator[Tensor]]

BASELINE = "plain network, the engine's tiles"
AUTHORS_LIMIT = 60_000  # px; the authors cut an input into quadrants until each is smaller
AUTHORS_OVERLAP = 10  # px


def trained(scale: int) -> ESRT:
    return load_checkpoint(resolve("clean", scale).path).network


def tile_batches(picture: Rgb, scale: int) -> Iterator[tuple[Tensor, tuple[int, int]]]:
    """Cut a picture as the engine does on a CPU: (B, 3, h, w) in [0, 1] with the attention's windows."""
    plan = make_plan(picture.shape[1], picture.shape[0], scale)
    height, width = plan.tile_shape
    tiles = [as_input(picture[y : y + height, x : x + width]) for y in plan.rows.starts for x in plan.columns.starts]
    for first in range(0, len(tiles), plan.batch):
        yield torch.cat(tiles[first : first + plan.batch]), plan.windows


def as_input(picture: Rgb) -> Tensor:
    x = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255
    return x.contiguous(memory_format=torch.channels_last)


def bf16_form(network: ESRT) -> nn.Module:
    return fuse(network, torch.bfloat16)


def native(scale: int, threads: int) -> Run:
    """Run the native network on the engine's tiles."""
    network = trained(scale)
    enlarge = NativeESRT(weights_of(network).tensors, scale)

    def run(picture: Rgb) -> None:
        for x, windows in tile_batches(picture, scale):
            enlarge(x.numpy(), windows, threads)

    return run


def network_on_tiles(form: Callable[[ESRT], nn.Module]) -> Callable[[int, int], Run]:
    def build(scale: int, threads: int) -> Run:
        network = form(trained(scale)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

        @torch.inference_mode()
        def run(picture: Rgb) -> None:
            for x, windows in tile_batches(picture, scale):
                network(x, windows)

        return run

    return build


def engine(precision: str) -> Callable[[int, int], Run]:
    def build(scale: int, threads: int) -> Run:
        options = EngineOptions(device="cpu", threads=threads, precision=precision)
        upscaler = Upscaler(weights_of(trained(scale)), options, cache_bytes=0)
        return lambda picture: void(upscaler.upscale(Frame((picture,))))

    return build


def command(scale: int, threads: int) -> Run:
    """Run `esrt upscale` on a PNG, start-up and file included."""
    folder = Path(tempfile.mkdtemp())

    def run(picture: Rgb) -> None:
        source = folder / "in.png"
        Image.fromarray(picture).save(source)
        target = ["--output", str(folder / "out.png"), "--overwrite", "--scale", str(scale)]
        options = ["--device", "cpu", "--threads", str(threads), "--model", "clean"]
        words = [sys.executable, "-m", "esrt_cli", "upscale", str(source), *target, *options]
        subprocess.run(words, check=True, capture_output=True)

    return run


def authors_way(scale: int, threads: int) -> Run:
    """Run the plain network with explicit attention matrices on quadrants, as its authors test."""
    network = trained(scale).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(picture: Rgb) -> None:
        with sdpa_kernel(SDPBackend.MATH):
            for quadrant in quadrants(picture):
                network(as_input(quadrant))

    return run


def quadrants(picture: Rgb) -> Iterator[Rgb]:
    height, width = picture.shape[:2]
    if height * width < AUTHORS_LIMIT:
        yield picture
        return
    h, w = height // 2 + AUTHORS_OVERLAP, width // 2 + AUTHORS_OVERLAP
    for part in (picture[:h, :w], picture[:h, -w:], picture[-h:, :w], picture[-h:, -w:]):
        yield from quadrants(part)


def onnxruntime(scale: int, threads: int) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads

    def load(path: Path) -> Callable[[Tensor], object]:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x.contiguous().numpy()})

    return exported(scale, load)


def openvino(precision: str) -> Callable[[int, int], Run]:
    def build(scale: int, threads: int) -> Run:
        import openvino as ov

        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}

        def load(path: Path) -> Callable[[Tensor], object]:
            compiled = ov.Core().compile_model(str(path), "CPU", settings)
            return lambda x: compiled(x.contiguous().numpy())

        return exported(scale, load)

    return build


def exported(scale: int, load: Callable[[Path], Callable[[Tensor], object]]) -> Run:
    """Export the plain network with the engine's windows for each tile shape, when it first occurs."""
    models: dict[tuple[int, ...], Callable[[Tensor], object]] = {}

    def run(picture: Rgb) -> None:
        for x, windows in tile_batches(picture, scale):
            shape = tuple(x.shape)
            if shape not in models:
                path = Path(tempfile.mkdtemp()) / "esrt.onnx"
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    torch.onnx.export(trained(scale), (x, windows), path, external_data=False, verbose=False)
                models[shape] = load(path)
            models[shape](x)

    return run


def void(_: object) -> None:
    return None


CONTENDERS: dict[str, Callable[[int, int], Run]] = {
    BASELINE: network_on_tiles(lambda network: network),
    "native network, the engine's tiles": native,
    "fused form, the engine's tiles": network_on_tiles(fuse),
    "fused form, bf16": network_on_tiles(bf16_form),
    "esrt, engine": engine("fp32"),
    "esrt, engine, bf16": engine("bf16"),
    "esrt, command": command,
    "plain network, authors' way": authors_way,
    "onnxruntime, plain export": onnxruntime,
    "OpenVINO, plain export": openvino("f32"),
    "OpenVINO, plain export, bf16": openvino("bf16"),
}
