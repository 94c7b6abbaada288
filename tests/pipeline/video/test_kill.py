"""kill -9 in every container: the same call resumes, and the result has the bytes of an undisturbed run."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from esrt_core.media.video.containers import CONTAINERS
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.run import ClipResult, prepare_clip, upscale_clip
from tests.pipeline.clips import make, picture, sound, x264
from tests.pipeline.conftest import PoolOf

ROOT = Path(__file__).resolve().parents[3]
NOISE = ",noise=alls=60:allf=t"  # no two frames are equal
KILLED = """
import os, signal, sys, time
from fractions import Fraction
from pathlib import Path
from esrt_core.engine.options import EngineOptions
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.run import prepare_clip, upscale_clip
from esrt_core.selection import UpscalerPool

source, target, model = sys.argv[1:]
log = Path(target).parent / f".{Path(target).name}.esrt-work" / "journal.jsonl"

def die(report):
    if report.done == 17:
        while log.read_bytes().count(b"\\n") < 2:  # the first segment is being encoded
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

pool = UpscalerPool(model, EngineOptions(device="cpu", threads=1))
options = VideoOptions(output=target, segment=Fraction(1, 2))
upscale_clip(prepare_clip(Path(source), options, pool), pool, die)
"""
SOUND = {".webm": "libopus", ".flv": "mp3", ".mpg": "mp2"}
WRITTEN = {container.muxer: suffix for suffix, container in reversed(CONTAINERS.items())}  # one suffix for each


def source_of(folder: Path, suffix: str) -> Path:
    """Write a clip in the container itself, or, if it is only read, with an older codec."""
    if suffix == ".webm":
        coded = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"]
    else:
        coded = (
            x264("-g", "10")
            if suffix in CONTAINERS
            else ["-c:v", "mpeg2video" if suffix == ".mpg" else "mpeg4", "-bf", "2"]
        )
    inputs = [*picture("32x24", seconds=0.8, extra=NOISE), *sound(0.8)]
    return make(folder / f"a{suffix}", *inputs, *coded, "-c:a", SOUND.get(suffix, "aac"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("suffix", [*WRITTEN.values(), ".avi", ".mpg"])
def test_a_killed_run_is_resumed_to_the_same_bytes(tmp_path: Path, pool_of: PoolOf, suffix: str) -> None:
    path, pool = source_of(tmp_path, suffix), pool_of(2)
    result = suffix if suffix in CONTAINERS else ".mkv"
    whole, parts = tmp_path / f"whole{result}", tmp_path / f"parts{result}"

    def run(target: Path) -> ClipResult:
        options = VideoOptions(output=str(target), segment=Fraction(1, 2))
        return upscale_clip(prepare_clip(path, options, pool), pool)

    undisturbed = run(whole)
    command = [sys.executable, "-c", KILLED, str(path), str(parts), pool.model]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (killed.returncode, killed.stderr) == (-9, "")
    assert not parts.exists()
    resumed = run(parts)
    assert (undisturbed.resumed_at, undisturbed.damage) == (0, ())
    assert (resumed.resumed_at, resumed.frames, resumed.damage) == (12, undisturbed.frames, ())
    assert parts.read_bytes() == whole.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted({path.name, whole.name, parts.name})
