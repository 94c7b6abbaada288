"""The C sources in a program of their own: under sanitizers, by other compilers, and for aarch64 under qemu."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from esrt_core.architecture import SCALES
from esrt_core.engine.native.library import FOLDER
from esrt_core.engine.native.packing import count_blocks, pack
from tests.engine.native.conftest import drawn_network, named_weights

TOLERANCE = 1e-4
FLAGS = ("-std=gnu11", "-g", "-O1", "-pthread", "-ffp-contract=fast", "-Wno-psabi", "-DDIGEST=check")
MEMORY = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RACES = ("-fsanitize=thread",)
AVX2 = ("-mavx2", "-mfma")
CASES = (((13, 18), (2, 1), 1, 1), ((9, 27), (1, 1), 1, 3), ((5, 6), (1, 1), 3, 2))  # size, windows, batch, threads


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write weights, inputs and the plain network's outputs."""
    path = tmp_path_factory.mktemp("native") / "vectors"
    with path.open("wb") as file:
        for scale, (size, windows, batch, threads) in zip(SCALES, CASES, strict=True):
            network = drawn_network(scale, blocks=1)
            weights = named_weights(network)
            x = np.random.default_rng(2).random((batch, 3, *size), np.float32)
            with torch.inference_mode():
                y = network(torch.from_numpy(x), windows).numpy()
            form = (scale, count_blocks(weights), batch, *size, *windows, threads)
            for array in (np.array(form, np.int32), pack(weights, scale), x, y):
                file.write(array.tobytes())
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "flags", "runner"),
    [
        ("gcc", MEMORY, ()),
        ("gcc", (*MEMORY, *AVX2), ()),
        ("gcc", (*RACES, *AVX2), ()),
        ("clang", AVX2, ()),
        ("aarch64-linux-gnu-gcc", ("-static",), ("qemu-aarch64",)),
    ],
    ids=["memory", "memory-avx2", "races-avx2", "clang-avx2", "aarch64"],
)
def test_runs_clean(
    compiler: str, flags: tuple[str, ...], runner: tuple[str, ...], vectors: Path, tmp_path: Path
) -> None:
    missing = [program for program in (compiler, *runner) if shutil.which(program) is None]
    if missing:
        pytest.skip(f"there is no {' or '.join(missing)}")
    if "-mavx2" in flags and " avx2 " not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    program = tmp_path / "check"
    sources = [*sorted(FOLDER.glob("*.c")), Path(__file__).with_name("check.c")]
    built = subprocess.run(
        [compiler, *FLAGS, *flags, *map(str, sources), "-o", str(program), "-lm"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
    copies = 4 if flags[: len(RACES)] == RACES else 1  # at once, so that threads meet in many orders
    command = [*runner, str(program), str(vectors)]
    pipe = subprocess.PIPE
    started = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) for _ in range(copies)]
    for process, (out, errors) in [(each, each.communicate()) for each in started]:
        assert process.returncode == 0, errors
        assert errors == ""
        assert float(out) <= TOLERANCE
