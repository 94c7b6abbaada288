"""Damaged pictures through the whole program: a folder of them beside good ones, as `esrt batch` takes it."""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from esrt_core.pipeline.batch.faults import FAULT_LOG
from tests.fuzz import seeds
from tests.fuzz.mutation import mutated

FOLDER_SIZE = 100
GOOD = 5
MAX_PIXELS = 200_000


def run_folders(seed: int, pictures: int) -> list[str]:
    """Run folders with this many damaged pictures in all; return what went wrong, a line each."""
    found = []
    with tempfile.TemporaryDirectory(prefix="esrt-fuzz-") as name:
        for number, first in enumerate(range(0, pictures, FOLDER_SIZE)):
            folder = Path(name, str(number))
            make_folder(folder, random.Random(f"{seed}/folder/{number}"), min(FOLDER_SIZE, pictures - first))
            found += [
                f"folder {number} of seed {seed}: {each}" for each in problems(folder, Path(name, f"out{number}"))
            ]
    return found


def make_folder(folder: Path, rng: random.Random, count: int) -> None:
    """Write damaged pictures and a few good ones."""
    folder.mkdir(parents=True)
    known = list(seeds.pictures().items())
    for number in range(count):
        name, data = rng.choice(known)
        (folder / f"{number:04d}-{name}").write_bytes(mutated(data, rng))
    for number in range(GOOD):
        pixels = np.random.default_rng(number).integers(0, 256, (9 + number, 12, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"good{number}.png")


def problems(folder: Path, out: Path) -> list[str]:
    """Upscale a folder twice; return what is not as promised."""
    weights = folder.parent / "tiny.safetensors"
    weights.write_bytes(seeds.weights()["ours.safetensors"])
    first, again = (upscale_folder(folder, out, weights) for _ in range(2))
    found = [f"traceback: {done.stderr[-1500:]}" for done in (first, again) if "Traceback" in done.stderr]
    if (out / FAULT_LOG).exists():
        found.append(f"fault of this program: {(out / FAULT_LOG).read_text()[-1500:]}")
    found += [
        f"exit code {done.returncode}: {done.stderr[-500:]}" for done in (first, again) if done.returncode not in (0, 1)
    ]
    missing = [number for number in range(GOOD) if not (out / f"good{number}.png").exists()]
    if missing:
        found.append(f"good pictures {missing} are not done: {first.stderr[-500:]}")
    for path in out.rglob("*") if out.is_dir() else ():
        if ".esrt-tmp" in path.name:
            found.append(f"temporary file {path.name} is left")
        elif path.is_file() and not path.name.startswith(".") and path.name != FAULT_LOG:
            found += _unreadable(path)
    return found


def upscale_folder(folder: Path, out: Path, weights: Path) -> subprocess.CompletedProcess[str]:
    """Run `esrt batch` on a folder."""
    command = [
        sys.executable,
        "-m",
        "esrt_cli",
        "batch",
        str(folder),
        "-s",
        "2",
        "-o",
        str(out),
        "--model",
        str(weights),
    ]
    return subprocess.run(
        [*command, "--threads", "1", "--max-pixels", str(MAX_PIXELS), "--allow-truncated"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _unreadable(path: Path) -> list[str]:
    from esrt_core.errors import EsrtError
    from esrt_core.media.image.decode import decode
    from esrt_core.media.image.picture import ReadLimits

    try:
        for page in decode(path, ReadLimits()).pages:
            page.frame.check_values()
    except EsrtError as error:
        return [f"the result {path.name} cannot be read: {error}"]
    return []
