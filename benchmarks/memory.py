"""Measure the peak memory of `esrt upscale`, including interpreter and torch, and compare it with what is promised.

    python -m benchmarks.memory > benchmarks/memory.md

For 8-bit RGB to PNG or JPEG the promise is 1 GB + 8 bytes for each pixel read and written; the other rows are stated.
"""

import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np


@dataclass(frozen=True)
class Case:
    """Hold one case: megapixels of the result, the input and the options of the command."""

    label: str
    megapixels: float
    dtype: type = np.uint8
    channels: int = 3
    target: str = "png"
    scale: int = 4


CASES = (
    Case("8-bit RGB to PNG", 0.25),
    Case("8-bit RGB to PNG", 12),
    Case("8-bit RGB to PNG", 48),
    Case("8-bit RGB to JPEG", 12, target="jpg"),
    Case("8-bit RGB to JPEG", 48, target="jpg"),
    Case("16-bit RGB to PNG", 12, np.uint16),
    Case("8-bit RGBA to PNG", 12, channels=4),
    Case("8-bit RGB to WebP", 12, target="webp"),
    Case("8-bit RGB to AVIF", 12, target="avif"),
    Case("8-bit RGB to PNG, x8 (two passes)", 12, scale=8),
)


def main() -> None:
    print(f"{platform.platform()}; `esrt upscale` of noise on a gradient, one thread.\n")
    print("| | result, megapixels | peak, MB | 1 GB + 8 B a pixel, MB |")
    print("|---|---|---|---|")
    for case in CASES:
        peak, pixels = measure(case)
        print(f"| {case.label} | {case.megapixels:g} | {peak / 1e6:.0f} | {1000 + 8e-6 * pixels:.0f} |", flush=True)


def measure(case: Case) -> tuple[int, int]:
    """Return the peak memory of the command in bytes, and the pixels that it read and wrote."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.png", Path(folder) / f"result.{case.target}"
        side = round((case.megapixels * 1e6) ** 0.5 / case.scale)
        source.write_bytes(imagecodecs.png_encode(picture(side, case)))
        words = ["upscale", str(source), "-s", str(case.scale), "-o", str(target), "-q"]
        command = [sys.executable, "-m", "esrt_cli", *words]
        process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{case.label} failed")
        return usage.ru_maxrss * 1024, side**2 * (1 + case.scale**2)


def picture(side: int, case: Case) -> np.ndarray:
    """Draw noise on a gradient, without equal tiles."""
    peak = np.iinfo(case.dtype).max
    ramp = np.linspace(0, 0.8, side)[:, None, None]
    noise = np.random.default_rng(0).random((side, side, case.channels)) * 0.2
    return np.ascontiguousarray(((ramp + noise) * peak).astype(case.dtype))


if __name__ == "__main__":
    main()
