"""Memory of a process that enlarges pictures of many sizes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import WeightsOf

PROGRAM = """
import sys
from pathlib import Path

import numpy as np

from esrt_core.allocator import give_back_freed_memory
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.upscaler import Upscaler
from esrt_core.media.frame import Frame
from esrt_core.weights.checkpoint import load_checkpoint

upscaler = Upscaler(load_checkpoint(Path(sys.argv[1])).network, EngineOptions("cpu", 1), cache_bytes=0)
for index in range(150):
    upscaler.upscale(Frame((np.full((9 + index % 12, 9 + index // 12, 3), index, np.uint8),)))
    if index in (29, 149):
        give_back_freed_memory()
        print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell a process's memory so")
def test_kernels_of_former_shapes_are_dropped(weights_of: WeightsOf) -> None:
    command = [sys.executable, "-c", PROGRAM, str(weights_of(2))]
    done = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    early, late = map(int, done.stdout.split())
    assert late - early < 10e6
