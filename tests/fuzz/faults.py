"""Disturb whole runs: python -m tests.fuzz.faults --rounds 20 --seed 1.

Every round takes a command and a fault. The disturbed run may fail, but in one line, and leaves no temporary file but
when it is killed outright; the same command, run again, must end in the bytes of a run that nothing disturbed.
"""

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from tests.fuzz import seeds

ROOT = Path(__file__).parents[2]
PICTURES = 6
CLOCK = "import random, time; now = time.time; time.time = lambda: now() + random.choice((-1, 0, 1)) * 31_536_000\n"


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


def kill(number: signal.Signals) -> Callable[[Command, Path, random.Random, float], list[str]]:
    """Return a fault: the signal at a random moment of a run that takes `seconds` undisturbed."""

    def disturb(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
        run = command.start(folder, {})
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(seconds * rng.random())
        run.process.send_signal(number)
        code, text = run.end()
        return _problems(folder, code, text, (0, 1, 143, -number), temporary=number is signal.SIGKILL)

    return disturb


def full_disk(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Let no file grow beyond a random size."""
    import resource

    size = rng.choice((0, 100, 1000, 5000, 20_000, 60_000, 120_000))
    run = command.start(folder, {}, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    return _problems(folder, *run.end(), (0, 1))


def few_files(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Allow few open files."""
    import resource

    count = rng.choice((24, 32, 48, 64))
    run = command.start(folder, {}, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count)))
    return _problems(folder, *run.end(), (0, 1))


def little_memory(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Limit the address space."""
    import resource

    size = rng.choice((1500, 2000, 3000)) * 2**20
    run = command.start(folder, {}, lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)))
    return _problems(folder, *run.end(), (0, 1))


def closed_streams(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Close standard output or error, or both."""
    closed = rng.choice(((1,), (2,), (1, 2)))

    def limit() -> None:
        for descriptor in closed:
            os.close(descriptor)

    code, text = command.start(folder, {}, limit).end()
    return _problems(folder, code, text, (0,))


def two_at_once(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Run the command twice at a time."""
    runs = [command.start(folder, {}) for _ in range(2)]
    return [problem for run in runs for problem in _problems(folder, *run.end(), (0, 1), temporary=True)]


def jumping_clock(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Let Python's clock jump by a year at every look."""
    (folder / "clock").mkdir(exist_ok=True)
    (folder / "clock" / "sitecustomize.py").write_text(CLOCK)
    return _problems(folder, *command.start(folder, {"PYTHONPATH": str(folder / "clock")}).end(), (0,))


def vanishing(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Take the inputs away in the middle of a run, and put them back after it."""
    run = command.start(folder, {})
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(seconds * rng.random())
    (folder / "in").rename(folder / "away")
    try:
        return _problems(folder, *run.end(), (0, 1))
    finally:
        (folder / "away").rename(folder / "in")


def read_only(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Run as a user who may write nothing here."""
    if os.geteuid() != 0 or not _nobody_can_run():
        return []
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    run = command.start(folder, {}, lambda: os.setuid(65534))
    return _problems(folder, *run.end(), (1,))


FAULTS: dict[str, Callable[[Command, Path, random.Random, float], list[str]]] = {
    "SIGKILL": kill(signal.SIGKILL),
    "SIGTERM": kill(signal.SIGTERM),
    "full disk": full_disk,
    "few files": few_files,
    "little memory": little_memory,
    "closed streams": closed_streams,
    "two at once": two_at_once,
    "jumping clock": jumping_clock,
    "vanishing files": vanishing,
    "read-only": read_only,
}


@contextlib.contextmanager
def undisturbed(name: str) -> Iterator[tuple[Path, dict[str, str], float]]:
    """Run a command without a fault; yield its folder, its outcome and the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="esrt-faults-") as temporary:
        folder = Path(temporary, "whole")
        prepare(folder)
        began = time.monotonic()
        code, text = COMMANDS[name].start(folder, {}).end()
        assert code == 0, text
        yield Path(temporary), COMMANDS[name].outcome(folder), time.monotonic() - began


def round_of(name: str, fault: str, rng: random.Random, whole: tuple[Path, dict[str, str], float]) -> list[str]:
    """Disturb a command, run it again to its end, and return what is not as promised."""
    parent, expected, seconds = whole
    folder, command = parent / "round", COMMANDS[name]
    prepare(folder)
    try:
        found = FAULTS[fault](command, folder, rng, seconds)
        code, text = command.start(folder, {}).end()
        if code != 0:
            found.append(f"again: exit code {code}: {text[-1500:]}")
        if command.outcome(folder) != expected:
            found.append(f"again: other results: {sorted(command.outcome(folder).items() ^ expected.items())}")
        return found
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Run rounds of every command and fault; print what went wrong; return 1 if anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each command with each fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--faults", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    options = parser.parse_args()
    failures = 0
    for name in options.commands:
        with undisturbed(name) as whole:
            for fault in options.faults:
                rng = random.Random(f"{options.seed}/{name}/{fault}")
                found = [problem for _ in range(options.rounds) for problem in round_of(name, fault, rng, whole)]
                failures += len(found)
                print(f"{name}, {fault}: {options.rounds} rounds, {len(found)} findings", flush=True)
                for problem in found:
                    print(f"  {problem}", flush=True)
    return 1 if failures else 0


def _problems(folder: Path, code: int, text: str, codes: Sequence[int], temporary: bool = False) -> list[str]:
    found = []
    if code not in codes:
        found.append(f"exit code {code}: {text[-1500:]}")
    if "Traceback" in text:
        found.append(f"traceback: {text[-1500:]}")
    left = [path.name for path in folder.rglob("*") if ".esrt-tmp" in path.name]
    if left and not temporary:
        found.append(f"left: {left}")
    if ".esrt-tmp" in text:
        found.append(f"a temporary file is named: {text[-500:]}")
    return found


def _digest(path: Path) -> str:
    if path.suffix == ".safetensors":
        content = b"".join(name.encode() + value.tobytes() for name, value in sorted(load_file(path).items()))
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def _nobody_can_run() -> bool:
    command = [sys.executable, "-c", "import numpy, esrt_cli"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, preexec_fn=lambda: os.setuid(65534), cwd=ROOT)
    except PermissionError:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
