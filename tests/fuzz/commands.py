"""The commands that are disturbed: what they read, what they make, and how a run of one is started."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from tests.fuzz import seeds

ROOT = Path(__file__).parents[2]
PICTURES = 6


@dataclass(frozen=True)
class Command:
    """Hold a command: its arguments in a working folder with `in` and `tiny.safetensors`, and what it makes there."""

    arguments: tuple[str, ...]
    results: str  # a pattern of the files to compare

    def start(self, folder: Path, environment: Mapping[str, str], limit: Callable[[], None] | None = None) -> "Run":
        """Start the command."""
        return Run(folder, self.arguments, environment, limit)

    def outcome(self, folder: Path) -> dict[str, str]:
        """Return the digests of the results, of weights without what says when they were made."""
        paths = [path for path in sorted(folder.glob(self.results)) if path.is_file() and path.name[0] != "."]
        return {str(path.relative_to(folder)): _digest(path) for path in paths}


WEIGHTS = "tiny.safetensors"
MODEL = ("--model", WEIGHTS, "--threads", "1")
TRAINING = ("--steps", "12", "--patch", "16", "--batch", "2", "--threads", "1")
IMPORTED = "home/data/weights/*.safetensors"
COMMANDS = {
    "upscale": Command(("upscale", "in/0.png", "-s", "2", "-o", "out/0.png", "--overwrite", *MODEL), "out/**/*"),
    "batch": Command(("batch", "in", "-s", "2", "-o", "out", *MODEL), "out/**/*"),
    "video": Command(("video", "clip.mkv", "-s", "2", "-o", "out/clip.mkv", "--overwrite", *MODEL), "out/*.mkv"),
    "train": Command(("train", "in", "-s", "2", "--init", WEIGHTS, "--out", "out", *TRAINING), "out/*.safetensors"),
    "export": Command(
        ("export", "-s", "2", "--format", "authors", "-o", "out/e.pth", "--overwrite", "--model", WEIGHTS), "out/*"
    ),
    "models": Command(("models", "import", WEIGHTS, "--name", "mine", "--overwrite"), IMPORTED),
}


class Run:
    """Hold a running command whose output is read at its end."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], environment: Mapping[str, str], limit: Callable[[], None] | None
    ) -> None:
        base = {**os.environ, "ESRT_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
        base["PYTHONPATH"] = os.pathsep.join([environment.get("PYTHONPATH", ""), str(ROOT)])
        (folder / "out").mkdir(exist_ok=True) if arguments[0] != "train" else None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "esrt_cli", *arguments],
            cwd=folder,
            env={**base, **{key: value for key, value in environment.items() if key != "PYTHONPATH"}},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,  # no file, or a limit on the size of files would hold for it too
            preexec_fn=limit,
        )

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was written to standard error."""
        _, errors = self.process.communicate()
        return self.process.returncode, errors.decode("utf-8", "replace")


def prepare(folder: Path) -> None:
    """Write what the commands read."""
    (folder / "in").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        smooth = rng.integers(0, 256, (9 + number, 9, 3), np.uint8)
        Image.fromarray(smooth).resize((72, 64 + 8 * number), Image.Resampling.BICUBIC).save(
            folder / "in" / f"{number}.png"
        )
    (folder / "tiny.safetensors").write_bytes(seeds.weights()["ours.safetensors"])
    _write_clip(folder / "clip.mkv")


def _write_clip(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(12):
            pixels = np.full((32, 48, 3), 20 * number, np.uint8)
            pixels[number : number + 8, 4:20] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


def _digest(path: Path) -> str:
    if path.suffix == ".safetensors":
        content = b"".join(name.encode() + value.tobytes() for name, value in sorted(load_file(path).items()))
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]
