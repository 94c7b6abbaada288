"""Compare the gradients of trained weights in half precision with those in float32.

    python -m benchmarks.gradients PHOTOS --scale 2 --model clean

A patch of 48 LR px from the center of each photo is used, all in one batch as in training; LR is made by the field's
bicubic. A row holds the mean squared error of the result in squared gray levels, its distance from float32's result
(root mean square, gray levels), the cosine between the gradients of all weights and those in float32, the same only for
convolutions and linear layers, and the time of a step.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.contenders import as_input
from esrt_core.evaluation.dataset import find_pictures, read_rgb
from esrt_core.evaluation.protocol import Rgb, make_lr
from esrt_core.media.image.picture import ReadLimits
from esrt_core.model.esrt import ESRT
from esrt_core.model.transformer import WHOLE, Windows
from esrt_core.training.loop import set_trainable
from esrt_core.training.precision import MAX_LOSS_SCALE, Bfloat16Backbones, Float16
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.store import resolve

PATCH = 48  # LR px


class Bfloat16(Float16):
    """Run everything in bfloat16, as training does not."""

    def forward(self, x: Tensor, windows: Windows = WHOLE) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            out: Tensor = self.network(x, windows)
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--model", default="clean", help="clean, photo or a file")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = load_checkpoint(resolve(options.model, options.scale).path).network.train()
    set_trainable(network)
    pictures = [read_rgb(path, ReadLimits()) for path in find_pictures(options.photos)]
    lr, hr = batch(pictures, options.scale)
    print(f"x{options.scale}, {options.model}, {len(lr)} patches, torch {torch.__version__}\n")
    print("| | MSE | to float32 | cosine, all weights | matrices alone | s |\n|---|---|---|---|---|---|")
    exact: list[Tensor] = []
    for name, form, scale in forms(network):
        began = time.perf_counter()
        result, *gradients = step(form, network, lr, hr, scale)
        seconds = time.perf_counter() - began
        exact = exact or [result, *gradients]
        errors = [255**2 * (result - truth).square().mean().item() for truth in (hr, exact[0])]
        both = cosine(gradients, exact[1:]), cosine(*([x for x in y if x.ndim > 1] for y in (gradients, exact[1:])))
        row = f"{errors[0]:.2f} | {errors[1] ** 0.5:.2f} | {both[0]:.4f} | {both[1]:.4f} | {seconds:.1f}"
        print(f"| {name} | {row} |", flush=True)


def forms(network: ESRT) -> Sequence[tuple[str, nn.Module, float]]:
    """Return the networks to compare, each with its loss scale; the first is float32."""
    return (
        ("float32", network, 1.0),
        ("float16, loss scaled", Float16(network), MAX_LOSS_SCALE),
        ("float16, loss as it is", Float16(network), 1.0),
        ("backbones in bfloat16", Bfloat16Backbones(network), 1.0),
        ("bfloat16", Bfloat16(network), 1.0),
    )


def batch(pictures: Sequence[Rgb], scale: int) -> tuple[Tensor, Tensor]:
    """Return LR (B, 3, PATCH, PATCH) and HR of the pictures' centers, float32 RGB in [0, 1]."""
    side = PATCH * scale
    tops = [(hr.shape[0] - side) // 2 for hr in pictures]
    lefts = [(hr.shape[1] - side) // 2 for hr in pictures]
    cut = [hr[y : y + side, x : x + side] for hr, y, x in zip(pictures, tops, lefts, strict=True)]
    small, large = (torch.cat([as_input(x) for x in rows]) for rows in ([make_lr(hr, scale) for hr in cut], cut))
    return small.contiguous(memory_format=torch.channels_last), large


def step(form: nn.Module, network: ESRT, lr: Tensor, hr: Tensor, scale: float) -> list[Tensor]:
    """Return the result, then the gradients of L1."""
    for value in network.parameters():
        value.grad = None
    result = form(lr).float()
    ((result - hr).abs().mean() * scale).backward()
    return [result.detach(), *(value.grad / scale for value in network.parameters() if value.grad is not None)]


def cosine(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    a, b = (torch.cat([x.flatten() for x in y]).double() for y in (some, others))
    return float(a @ b / (a.norm() * b.norm()))


if __name__ == "__main__":
    main()
