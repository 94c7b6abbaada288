"""Kill a run on a folder of many pictures of which some are poison: python -m tests.fuzz.poison --seed 1.

The run is killed at random moments and started again until it ends. Then every good picture's result has the bytes of a
run that nothing disturbed, every poisoned picture is reported with its name, and no temporary file is left.
"""

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from esrt_core.errors import EsrtError
from esrt_core.media.image.decode import decode
from esrt_core.media.image.picture import ReadLimits
from tests.fuzz import seeds
from tests.fuzz.commands import MODEL, WEIGHTS, Command
from tests.fuzz.end_to_end import MAX_PIXELS
from tests.fuzz.mutation import mutated

COMMAND = Command(("batch", "in", "-s", "2", "-o", "out", *MODEL, "--max-pixels", str(MAX_PIXELS)), "out/**/*")
SUFFIXES = (".png", ".jpg", ".tif", ".gif", ".webp")
STEP = 0.15  # of the time of an undisturbed run: a kill comes within one to three of them


def main() -> int:
    """Run rounds; print what went wrong; return 1 if anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.poison", description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--poison", type=int, default=50, help="of them")
    parser.add_argument("--kills", type=int, default=20, help="at most")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="esrt-poison-") as folder:
            rng = random.Random(f"{options.seed}/{number}")
            found += round_of(Path(folder), rng, options.pictures, options.poison, options.kills)
    for line in found:
        print(line)
    return 1 if found else 0


def round_of(folder: Path, rng: random.Random, pictures: int, poison: int, kills: int) -> list[str]:
    """Run a folder undisturbed and killed; return what is not as promised."""
    names = make_folder(folder / "in", rng, pictures, poison)
    (folder / WEIGHTS).write_bytes(seeds.weights()["ours.safetensors"])
    began = time.monotonic()
    code, text = COMMAND.start(folder, {}).end()
    seconds, expected = time.monotonic() - began, COMMAND.outcome(folder)
    found = _problems("undisturbed", code, text, names)
    if len(expected) != pictures - poison:
        found.append(f"undisturbed: {len(expected)} results of {pictures - poison} good pictures")
    (folder / "out").rename(folder / "whole")
    killed = _kill_again_and_again(folder, rng, seconds, kills)
    code, text = COMMAND.start(folder, {}).end()
    found += _problems("at the end", code, text, names)
    if COMMAND.outcome(folder) != expected:
        found.append(f"other results: {sorted(COMMAND.outcome(folder).items() ^ expected.items())[:20]}")
    found += [f"{path.name} is left" for path in folder.rglob("*") if ".esrt-tmp" in path.name]
    print(f"{pictures} pictures, {poison} of them poison, killed {killed} times: {len(found)} findings", flush=True)
    return found


def make_folder(folder: Path, rng: random.Random, pictures: int, poison: int) -> list[str]:
    """Write pictures, in folders of a hundred; return the names of those that cannot be read."""
    bad = set(rng.sample(range(pictures), poison))
    known = [(name, data) for name, data in seeds.pictures().items() if Path(name).suffix in SUFFIXES]
    names = []
    for number in range(pictures):
        path = folder / f"{number // 100:02d}" / f"{number:04d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number in bad:
            names.append(_write_poison(path, rng, known))
        else:
            pixels = np.random.default_rng(number).integers(0, 256, (8 + number % 5, 8 + number % 7, 3), np.uint8)
            Image.fromarray(pixels).save(path.with_suffix(".png"))
    return names


def _write_poison(path: Path, rng: random.Random, known: list[tuple[str, bytes]]) -> str:
    """Write a damaged picture that cannot be read whole; return its name."""
    while True:
        name, data = rng.choice(known)
        target = path.with_suffix(Path(name).suffix)
        target.write_bytes(mutated(data, rng))
        try:
            for page in decode(target, ReadLimits(max_pixels=MAX_PIXELS)).pages:
                assert page.frame.planes
        except EsrtError:
            return target.name
        target.unlink()


def _kill_again_and_again(folder: Path, rng: random.Random, seconds: float, kills: int) -> int:
    """Start and kill runs until one ends by itself; return how many were killed."""
    for number in range(kills):
        run = COMMAND.start(folder, {})
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(seconds * STEP * (rng.random() + number % 3))
        run.process.kill()
        if run.end()[0] != -9:
            return number
    return kills


def _problems(when: str, code: int, text: str, names: list[str]) -> list[str]:
    found = [f"{when}: exit code {code}: {text[-500:]}"] if code != 1 else []
    found += [f"{when}: traceback: {text[-1500:]}"] if "Traceback" in text else []
    missing = [name for name in names if name not in text]
    return found + ([f"{when}: not reported: {missing}; {text[-500:]}"] if missing else [])


if __name__ == "__main__":
    sys.exit(main())
