"""Measure the speed of training: LR px/s, share of the peak of matrix products, and the overhead outside of steps.

python benchmarks/throughput.py --scale 2 --steps 20

One run on pictures of noise measures `esrt train`, with its steps timed separately, and for comparison a plain float32
loop with Adam and a DataLoader that opens, crops and flips PNG files. Both use the same patch and batch.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.system.process import configure_process
from esrt_core.training.options import TrainOptions
from esrt_core.training.run import train
from esrt_core.training.step import Stepper

MULTIPLY_ADDS = {2: 0.699e6, 3: 0.800e6, 4: 1.015e6}  # per LR px, convolutions and linear layers
PER_TOKEN = 288  # multiply-adds of the attention per LR px and token of a piece
WARM_UP = 3  # steps that are not timed
PASSES = 3  # forward, gradients of the inputs, gradients of the weights


def main() -> None:
    configure_process()
    options = parse()
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        write_pictures(Path(name, "hr"), options.pictures, options.scale)
        ours, overhead = measure_trainer(Path(name), options)
        plain = measure_plain(Path(name, "hr"), options, device)
    peak = matmul_peak(device)
    flops = 2 * PASSES * (MULTIPLY_ADDS[options.scale] + PER_TOKEN * options.patch**2 / 4)
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name()
                if device.type == "cuda"
                else f"cpu, {torch.get_num_threads()} threads",
                "scale": options.scale,
                "patch": options.patch,
                "batch": options.batch,
                "esrt train, LR px/s": round(ours),
                "everything but forward, backward and update": f"{overhead:.1%}",
                "share of the matmul peak": f"{ours * flops / peak:.1%}",
                "matmul peak, GFLOP/s": round(peak / 1e9),
                "plain loop, LR px/s": round(plain),
                "faster than the plain loop": f"{ours / plain:.2f} x",
            },
            indent=2,
        )
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how fast training is.")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--patch", type=int, default=24)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2, help="processes of the plain loop's DataLoader")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--degrade", default="none")
    return parser.parse_args()


def write_pictures(folder: Path, count: int, scale: int) -> None:
    """Write HR pictures of noise, and their LR beside them for the plain loop."""
    side = 480
    folder.mkdir()
    (folder.parent / "lr").mkdir()
    for index in range(count):
        coarse = np.random.default_rng(index).integers(0, 256, (side // 4, side // 4, 3), np.uint8)
        hr = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        hr.save(folder / f"{index}.png")
        hr.resize((side // scale, side // scale), Image.Resampling.BICUBIC).save(folder.parent / "lr" / f"{index}.png")


def measure_trainer(folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Return LR px/s after the first steps, and the share of the time outside of steps."""
    marks: list[tuple[float, float]] = []  # two a step

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object) -> object:
            began = time.perf_counter()
            result = method(*arguments)
            marks.append((began, time.perf_counter()))
            return result

        return call

    with patch.object(Stepper, "begin", timed(Stepper.begin)), patch.object(Stepper, "finish", timed(Stepper.finish)):
        run(folder, options)
    measured = marks[2 * WARM_UP :]
    whole = measured[-1][1] - marks[2 * WARM_UP - 1][1]
    inside = sum(end - began for began, end in measured)
    return len(measured) // 2 * options.batch * options.patch**2 / whole, 1 - inside / whole


def run(folder: Path, options: argparse.Namespace) -> None:
    train(
        TrainOptions(
            sources=(folder / "hr",),
            scale=options.scale,
            from_scratch=True,
            steps=options.steps + WARM_UP,
            out=folder / "run",
            patch=options.patch,
            batch=options.batch,
            validations=1,
            degrade=options.degrade,
        )
    )


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Open a picture and its LR, crop both at the same position and flip them."""

    def __init__(self, folder: Path, scale: int, patch: int, length: int) -> None:
        self.paths = sorted(folder.iterdir())
        self.scale = scale
        self.patch = patch
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        path = self.paths[index % len(self.paths)]
        random = np.random.default_rng(index)
        hr = np.asarray(Image.open(path))
        lr = np.asarray(Image.open(path.parent.parent / "lr" / path.name))
        top, left = random.integers(0, lr.shape[0] - self.patch, 2)
        pair = []
        for pixels, factor in ((lr, 1), (hr, self.scale)):
            y, x, side = top * factor, left * factor, self.patch * factor
            crop = pixels[y : y + side, x : x + side]
            pair.append(torch.from_numpy((crop[:, ::-1] if index % 2 else crop).copy()).permute(2, 0, 1).float() / 255)
        return pair[0], pair[1]


def measure_plain(folder: Path, options: argparse.Namespace, device: torch.device) -> float:
    """Return LR px/s of a plain float32 loop."""
    count = (options.steps + WARM_UP) * options.batch
    pairs = Pairs(folder, options.scale, options.patch, count)
    batches: Iterator[tuple[Tensor, Tensor]] = iter(DataLoader(pairs, options.batch, num_workers=options.workers))
    network = ESRT(ESRTConfig(options.scale)).to(device)
    adam = torch.optim.Adam(network.parameters(), 1e-3)
    began = 0.0
    for index, (lr, hr) in enumerate(batches):
        if index == WARM_UP:
            synchronize(device)
            began = time.perf_counter()
        loss = (network(lr.to(device)) - hr.to(device)).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()
    synchronize(device)
    seconds = time.perf_counter() - began
    return float(options.steps * options.batch * options.patch**2 / seconds)


def matmul_peak(device: torch.device) -> float:
    """Return the peak of several matrix products in FLOP/s, in the precision of training."""
    side, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        synchronize(device)
        began = time.perf_counter()
        a @ b
        synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
