"""Memory of a process that enlarges pictures of many sizes."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from esrt_core.system import process
from esrt_core.system.process import (
    MIN_TRIM_PIXELS,
    SPIN_COUNT,
    HeapTrimmer,
    keep_freed_memory,
    limit_numpy_threads,
    limit_openmp_spinning,
    release_freed_memory,
)
from tests.conftest import WeightsOf

GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 (no object that takes memory of its own)
        return int(file.read().split()[1]) * 4096


def test_glibc_and_nothing_else_takes_the_advice() -> None:
    assert keep_freed_memory() == GLIBC


@pytest.mark.skipif(not GLIBC, reason="only glibc gives memory back when it is told to")
def test_memory_between_what_is_still_used_goes_back_too() -> None:
    keep_freed_memory()
    blocks = [np.ones(2**20, np.uint8) for _ in range(128)]
    before = resident_bytes()
    kept = blocks[::8]
    del blocks
    assert release_freed_memory()
    assert before - resident_bytes() > 80 * 2**20
    assert sum(int(block[0]) for block in kept) == 16


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, SPIN_COUNT),
        ({"GOMP_SPINCOUNT": "5"}, "5"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_what_the_environment_says_stays(
    before: dict[str, str], after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    limit_openmp_spinning()
    assert os.environ.get("GOMP_SPINCOUNT") == after


@pytest.mark.parametrize(
    ("machine", "before", "after"),
    [("x86_64", None, "1"), ("AMD64", None, "1"), ("x86_64", "7", "7"), ("aarch64", None, None)],
)
def test_numpy_gets_one_thread_where_torch_has_another_library(
    machine: str, before: str | None, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", before or "")
    if before is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    limit_numpy_threads()
    assert os.environ.get("OPENBLAS_NUM_THREADS") == after


def test_the_heap_is_cleared_between_shapes_when_enough_has_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    cleared: list[int] = []
    monkeypatch.setattr(process, "release_freed_memory", lambda: cleared.append(len(cleared)))
    own = HeapTrimmer()
    for shape, tiles, times in [
        ((100, 100), 1, 0),
        ((100, 90), 1, 0),  # too soon
        ((100, 100), MIN_TRIM_PIXELS // 10_000, 0),
        ((100, 100), 1, 0),  # the same shape
        ((90, 100), 1, 1),
        ((100, 90), 1, 1),  # too soon again
    ]:
        own.count(shape, tiles)
        assert len(cleared) == times


PROGRAM = """
import sys
from pathlib import Path

from esrt_core.system.process import configure_process, release_freed_memory

configure_process()  # before torch is imported

import numpy as np

from esrt_core.engine.options import EngineOptions
from esrt_core.engine.upscaler import Upscaler
from esrt_core.media.frame import Frame
from esrt_core.weights.tensors import load_weights

upscaler = Upscaler(load_weights(Path(sys.argv[1])), EngineOptions("cpu", 1), cache_bytes=0)
for index in range(150):
    upscaler.upscale(Frame((np.full((9 + index % 12, 9 + index // 12, 3), index, np.uint8),)))
    if index in (29, 149):
        release_freed_memory()
        print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell a process's memory so")
def test_kernels_of_former_shapes_are_dropped(weights_of: WeightsOf) -> None:
    command = [sys.executable, "-c", PROGRAM, str(weights_of(2))]
    done = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    early, late = map(int, done.stdout.split())
    assert late - early < 10e6


LIBRARY = """
import os
import sys

import torch

environment, threads = dict(os.environ), torch.get_num_threads()

import numpy as np

import esrt_core
from esrt_core.system import process

called, function = [], process._libc_function
process._libc_function = lambda name: called.append(name) or function(name)
during = set()
upscaler = esrt_core.Upscaler(2, sys.argv[1], "cpu", threads=threads + 1)
upscaler.upscale(np.zeros((20, 20, 3), np.uint8), lambda progress: during.add(torch.get_num_threads()))
assert during == {threads + 1}, during
assert torch.get_num_threads() == threads, torch.get_num_threads()
assert dict(os.environ) == environment, set(os.environ.items()) ^ set(environment.items())
assert "mallopt" not in called, called
process.configure_process()
assert sys.platform != "linux" or "mallopt" in called, called
assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"], os.environ
"""


@pytest.mark.slow
def test_use_as_a_library_leaves_the_process_alone(weights_of: WeightsOf) -> None:
    cleared = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
    environment = {name: value for name, value in os.environ.items() if name not in cleared}
    command = [sys.executable, "-c", LIBRARY, str(weights_of(2))]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")


OWN_STDERR = """
import os, sys, threading

from esrt_core.system.process import configure_process, suppress_native_stderr

configure_process()
configure_process()
inside, leave = threading.Event(), threading.Event()

def other() -> None:
    with suppress_native_stderr():
        inside.set()
        leave.wait()

thread = threading.Thread(target=other)
thread.start()
inside.wait()
with suppress_native_stderr():
    os.write(2, b"native 1\\n")
    print("python 1", file=sys.stderr)
os.write(2, b"native 2\\n")
leave.set()
thread.join()
os.write(2, b"native 3\\n")
print("python 2", file=sys.stderr)
"""


def test_what_native_code_writes_is_dropped_while_any_thread_wants_it_and_nothing_of_pythons() -> None:
    done = subprocess.run([sys.executable, "-c", OWN_STDERR], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["python 1", "native 3", "python 2"]
