"""Disturb whole runs: python -m tests.fuzz.faults --rounds 20 --seed 1.

Every round takes a command and a fault. The disturbed run may fail, but in one line, and leaves no temporary file but
when it is killed outright; the same command, run again, must end in the bytes of a run that nothing disturbed.
"""

import argparse
import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.fuzz.commands import COMMANDS, WEIGHTS, Command, prepare

_PR_CAPBSET_DROP = 24  # of linux/prctl.h
CLOCK = "import random, time; now = time.time; time.time = lambda: now() + random.choice((-1, 0, 1)) * 31_536_000\n"


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
    """Take something that is read away in the middle of a run, and put it back after it."""
    taken = folder / rng.choice([name for name in ("in", "clip.mkv", WEIGHTS) if name in command.arguments] or ["in"])
    run = command.start(folder, {})
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(seconds * rng.random())
    taken.rename(folder / "away")
    try:
        return _problems(folder, *run.end(), (0, 1))
    finally:
        (folder / "away").rename(taken)


def removed_results(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Delete the folder of the results, with all that is in it, in the middle of a run."""
    run = command.start(folder, {})
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(seconds * rng.random())
    results = folder / ("home" if command.results.startswith("home") else "out")
    shutil.rmtree(results, ignore_errors=True)
    return _problems(folder, *run.end(), (0, 1))


def read_only(command: Command, folder: Path, rng: random.Random, seconds: float) -> list[str]:
    """Run as a user without root's rights who may write nothing here."""
    (folder / "out").mkdir()
    paths = (folder, *folder.rglob("*"))
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    run = command.start(folder, {}, without_rights if os.geteuid() == 0 else None)
    try:
        return _problems(folder, *run.end(), (1,))
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


def without_rights() -> None:
    """Drop root's capabilities when another program starts, so that the permissions of files hold for it.

    Its user stays the same: the Python that runs the tests may lie where others cannot read.
    """
    libc = ctypes.CDLL(None)
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


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
    "removed results": removed_results,
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


if __name__ == "__main__":
    sys.exit(main())
