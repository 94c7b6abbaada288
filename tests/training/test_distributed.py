"""Two processes that talk through gloo, against one."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

RUN = """
import sys
from pathlib import Path
import torch
from esrt_core.errors import StopError
from esrt_core.training.run import train
from esrt_core.training.options import TrainOptions

torch.set_num_threads(1)
torch.cpu.get_capabilities = dict  # none: float32 on every machine, so that the weights can be compared
pictures, out, steps = sys.argv[1:]
try:
    for length in steps.split(","):
        train(TrainOptions((Path(pictures),), 2, from_scratch=True, steps=int(length), out=Path(out), device="cpu",
                           batch=4, patch=8, warmup=2, validations=2, channels=16, blocks=1))
except StopError as error:
    sys.exit(error.exit_code)
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start(pictures: Path, out: Path, steps: str, world: int, home: Path) -> list["subprocess.Popen[bytes]"]:
    """Start what torchrun would: one process a rank."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world)}
    processes = []
    for rank in range(world):
        environment = {**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank), "ESRT_HOME": str(home)}
        command = [sys.executable, "-c", RUN, str(pictures), str(out), steps]
        processes.append(subprocess.Popen(command, env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)}))
    return processes


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    network: dict[str, torch.Tensor] = torch.load(folder / "state.pt", weights_only=True)["network"]
    return network


@pytest.mark.slow
def test_two_processes_agree_with_one_on_the_double_batch(pictures: Path, tmp_path: Path) -> None:
    outs = tmp_path / "one", tmp_path / "two"
    running = [start(pictures, out, "2,4", world, tmp_path / out.name) for world, out in zip((1, 2), outs, strict=True)]
    assert [process.wait(240) for processes in running for process in processes] == [0, 0, 0]
    one, two = map(weights_in, outs)
    moved = max((one[name] - other).abs().max().item() for name, other in untrained(two).items())
    assert moved > 1e-3
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)


def untrained(like: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from esrt_core.model.esrt import ESRT, ESRTConfig

    torch.manual_seed(0)
    fresh = ESRT(ESRTConfig(2, channels=16, blocks=1)).state_dict()
    return {name: fresh[name] for name in like}


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_with_everything_saved(pictures: Path, tmp_path: Path) -> None:
    processes = start(pictures, tmp_path / "run", "100000", 2, tmp_path / "home")
    try:
        log = tmp_path / "run" / "log.csv"
        while not log.exists() or log.read_text().count("\n") < 2:
            assert all(process.poll() is None for process in processes)
            time.sleep(0.1)
        processes[1].send_signal(signal.SIGTERM)
        assert [process.wait(120) for process in processes] == [143, 143]
    finally:
        for process in processes:
            process.kill()
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["counters"]["step"] > 0
