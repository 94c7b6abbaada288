"""Runs that work in one folder at once. Locks belong to processes, so the other run is one."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from esrt_core.errors import TargetError
from esrt_core.pipeline.batch.outputs import RunLock, job_key
from esrt_core.selection import UpscalerPool
from tests.pipeline.folders import Asked

OTHER = """
import sys
from pathlib import Path
from esrt_core.pipeline.batch.outputs import RunLock
lock = RunLock(Path(sys.argv[1]))
print(lock.alone, lock.claim("a.png"), flush=True)
sys.stdin.readline()
"""


@contextmanager
def other_run(path: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start another run that claims a.png; yield whether it was alone and got it, and its process."""
    command = [sys.executable, "-c", OTHER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def test_a_file_in_another_runs_hand_is_not_given_out(tmp_path: Path) -> None:
    with other_run(tmp_path / "lock") as (said, process):
        assert said == "True True"
        lock = RunLock(tmp_path / "lock")
        assert not lock.alone
        assert not lock.claim("a.png")
        assert lock.claim("b.png")
        process.kill()
        process.wait()
        assert lock.claim("a.png")
        lock.close()


@pytest.mark.slow
def test_a_later_run_is_not_alone_while_an_earlier_one_lives(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "lock")
    assert lock.alone
    assert lock.claim("a.png")
    with other_run(tmp_path / "lock") as (said, _):
        assert said == "False False"
    lock.release("a.png")
    with other_run(tmp_path / "lock") as (said, _):
        assert said == "False True"
    lock.close()
    with other_run(tmp_path / "lock") as (said, _):
        assert said == "True True"


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be locked"):
        RunLock(tmp_path / "gone" / "lock")


def test_what_a_job_is_known_by_is_what_the_first_version_recorded(asked: Asked) -> None:
    options = asked()
    key = job_key(options, UpscalerPool(options.upscale.model, options.upscale.engine))
    (weights,) = key.options["weights"].values()
    described = {
        "size": {"factor": "2"},
        "format": None,
        "weights": {"plain first x2": weights},
        "precision": "auto",
        "tile": None,
        "tta": False,
        "encode": {"quality": None, "background": [255, 255, 255], "strip_metadata": False, "lossless": None},
        "compare": False,
        "name": None,
    }
    text = json.dumps(described, sort_keys=True)
    assert key.id == hashlib.sha256(text.encode()).hexdigest()[:16]
