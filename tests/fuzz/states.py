"""The files in which the program keeps its state, and the parts of it that read them and go on from there."""

import contextlib
import hashlib
import io
import os
import random
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from esrt_cli.app import main as esrt
from esrt_cli.config import read_config, write_setting
from esrt_core.errors import EsrtError
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.pipeline.batch.faults import FAULT_LOG
from esrt_core.pipeline.batch.manifest import NAME, Entry, Manifest
from esrt_core.pipeline.video.resume import Header, ResumeLog, Segment, begin_or_resume, earlier_threads
from esrt_core.training.events import Trained, Validated
from esrt_core.training.optimizers import build_optimizers
from esrt_core.training.options import TrainOptions
from esrt_core.training.run_folder import Log, RunFolder, TrainResult, draw_curves
from esrt_core.training.state import EMA, LossScale, TrainingState, read_state, restore_counters, restore_optimizers
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.header import read_header
from esrt_core.weights.library import all_entries
from esrt_core.weights.settings import StoreOptions
from tests.fuzz import seeds
from tests.fuzz.mutation import mutated, mutated_json

CPU = torch.device("cpu")
HEADER = Header(
    source=(10, 20), size=((2,), 64, 48), part=("1",), decoding=("-i",), codec=("-crf", "16"), segment=5, preview=False,
    model=("0",), device=("cpu", "fp32"), tile=(None, False), streams=(1,), ffmpeg="9", threads=2,
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """Hold a kind of state file: `write` makes a whole one in an empty folder, `use` reads it there and resumes."""

    write: Callable[[Path], Path]
    use: Callable[[Path], None]


def damaged_state(rng: random.Random, folder: Path) -> tuple[str, Path]:
    """Write a damaged state file of some kind into a folder; return its kind and path."""
    kind = rng.choice(list(STATES))
    path = STATES[kind].write(folder)
    data = path.read_bytes()
    structured = kind not in ("state.pt", "log.csv", "config.toml") and rng.random() < 0.6
    if kind == "safetensors header":
        path.write_bytes(_with_header(data, rng, structured))
    else:
        path.write_bytes(_of_lines(data, rng) if structured else mutated(data, rng))
    return kind, path


def _of_lines(data: bytes, rng: random.Random) -> bytes:
    """Damage one of several lines of JSON, or JSON on many lines."""
    lines = data.splitlines() if b"\n{" in data else [data]
    number = rng.randrange(len(lines))
    lines[number] = mutated_json(lines[number], rng)
    return b"\n".join(lines) + b"\n"


def _with_header(data: bytes, rng: random.Random, structured: bool) -> bytes:
    """Damage the header of a safetensors file and state its length rightly."""
    (length,) = struct.unpack("<Q", data[:8])
    header = (mutated_json if structured else mutated)(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _write_pictures(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    (folder / "in").mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        Image.fromarray(pixels[number:]).save(folder / "in" / name)
        os.utime(folder / "in" / name, (1_700_000_000, 1_700_000_000))
    (folder / "tiny.safetensors").write_bytes(seeds.weights()["ours.safetensors"])


@cache
def _results() -> dict[str, bytes]:
    """Return the files that a run on two pictures writes."""
    with tempfile.TemporaryDirectory(prefix="esrt-fuzz-") as name:
        _write_pictures(Path(name))
        assert _batch(Path(name))[0] == 0
        return {path.name: path.read_bytes() for path in Path(name, "out").iterdir() if path.is_file()}


def _batch(folder: Path) -> tuple[int, str]:
    """Run `esrt batch` in this process; return the exit code and what it said."""
    said = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    arguments = ["batch", str(folder / "in"), "-s", "2", "-o", str(folder / "out"), "--threads", "1"]
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")), contextlib.redirect_stderr(said):
        code = esrt([*arguments, "--model", str(folder / "tiny.safetensors")])
    return code, bytes(said.buffer.getvalue()).decode()


def _write_manifest(folder: Path) -> Path:
    _write_pictures(folder)
    (folder / "out").mkdir()
    for name, content in _results().items():
        (folder / "out" / name).write_bytes(content)
    return folder / "out" / NAME


def _use_manifest(folder: Path) -> None:
    """Resume the folder: both results are whole, and nothing is written elsewhere."""
    log = Manifest(folder / "out")
    for target, source in log.targets.items():
        assert (folder / "out" / target).resolve().is_relative_to(folder.resolve() / "out")
        log.owned_size(target, source)
    code, text = _batch(folder)
    assert code in (0, 1), text
    assert "Traceback" not in text, text
    assert not (folder / "out" / FAULT_LOG).exists(), (folder / "out" / FAULT_LOG).read_text()
    for name, content in _results().items():
        if not name.startswith("."):
            assert (folder / "out" / name).read_bytes() == content, name
    assert {path.name for path in folder.iterdir()} == {"in", "out", "tiny.safetensors"}
    added = Entry("done", "j", "z.png", "1 2", "a.png", len(_results()["a.png"]))
    Manifest(folder / "out").add(added)
    assert Manifest(folder / "out").outcome("z.png", "j") == added


def _write_clip_log(folder: Path) -> Path:
    log = ResumeLog(folder)
    log.begin(HEADER)
    for number in range(3):
        name = f"segment_{number:06d}.nut"
        (folder / name).write_bytes(bytes([number]) * 50)
        sha256 = hashlib.sha256(bytes([number]) * 50).hexdigest()
        log.add(Segment(number, name, number * 5, 5, 0, 5, 50, sha256, 4, 99, 96, 1, ("bad",)))
    return folder / "journal.jsonl"


def _use_clip_log(folder: Path) -> None:
    log = ResumeLog(folder)
    assert log.frames() <= 15
    earlier_threads(folder)
    segments = log.segments()
    assert begin_or_resume(log, HEADER, restart=False) in (segments, [])
    assert log.header() == HEADER


def _options(folder: Path) -> TrainOptions:
    return TrainOptions(
        sources=(folder,), scale=2, from_scratch=True, steps=6, out=folder, device="cpu", channels=16, blocks=1
    )


def _write_record(folder: Path) -> Path:
    result = TrainResult(folder / "best.safetensors", 6, 1.5, 2, 30.0, 31.0, 32.0, 31.5, 4)
    RunFolder(folder).write_record(_options(folder), {"pictures": 5}, result.as_json())
    return folder / "run.json"


def _use_record(folder: Path) -> None:
    run = RunFolder(folder)
    with contextlib.suppress(EsrtError):
        run.prepare(_options(folder))
    result = run.read_result()
    assert result is None or result.sentence.isprintable()


def _write_log(folder: Path) -> Path:
    log = Log(folder / "log.csv", [])
    for step in range(1, 6):
        log.write(Trained(step, 1.5 * step, 0.25, 0.1 / step, 1e-3, 24, 16, 1000.0))
    log.write(Validated(5, 7.5, 30.125, best=True))
    log.close()
    return folder / "log.csv"


def _use_log(folder: Path) -> None:
    run = RunFolder(folder)
    log = run.open_log(5)
    log.write(Trained(6, 9.0, 0.25, 0.05, 1e-3, 24, 16, 1000.0))
    log.close()
    rows = run.read_log()
    assert rows[-1]["step"] == "6"
    draw_curves(rows, 29.0, 30.0, folder / "curves.png")


def _state() -> TrainingState:
    network = ESRT(ESRTConfig(2, channels=16, blocks=1))
    state = TrainingState(network, EMA(network, 0.9), LossScale(1.0, CPU))
    state.optimizers = build_optimizers(network, "muon", 1e-3, None)
    return state


def _write_state(folder: Path) -> Path:
    _state().save(folder / "state.pt")
    return folder / "state.pt"


def _use_state(folder: Path) -> None:
    state = _state()
    saved = read_state(folder / "state.pt", CPU, state)
    restore_counters(state, saved)
    restore_optimizers(state.optimizers, saved)


def _write_index(folder: Path) -> Path:
    (folder / "index.json").write_bytes(seeds.index())
    return folder / "index.json"


def _use_index(folder: Path) -> None:
    """List an index, and rows of imported and downloaded weights that say the same."""
    data, content = folder / "data", (folder / "index.json").read_bytes()
    for entry in all_entries(StoreOptions(folder, data, str(folder / "index.json"))):
        assert isinstance(entry.present, bool)
    for name in ("weights", "urls"):
        (data / name).mkdir(parents=True)
        (data / name / "mine_x2.json").write_bytes(content)
    for entry in all_entries(StoreOptions(folder, data)):
        assert isinstance(entry.present, bool)


def _write_weights(folder: Path) -> Path:
    (folder / "a.safetensors").write_bytes(seeds.weights()["ours.safetensors"])
    return folder / "a.safetensors"


def _use_weights(folder: Path) -> None:
    with contextlib.suppress(EsrtError):
        read_header(folder / "a.safetensors")
    load_checkpoint(folder / "a.safetensors")


def _write_config(folder: Path) -> Path:
    text = "# mine\nmodel = 'clean'\nthreads = 2\n\noffline = true\nindex = \"a\"\n"
    (folder / "config.toml").write_text(text, "utf-8")
    return folder / "config.toml"


def _use_config(folder: Path) -> None:
    path = folder / "config.toml"
    before = read_config(path)
    write_setting(path, "device", "cpu")
    assert read_config(path) == {**before, "device": "cpu"}


STATES = {
    "manifest of a folder": State(_write_manifest, _use_manifest),
    "resume log of a clip": State(_write_clip_log, _use_clip_log),
    "run.json": State(_write_record, _use_record),
    "log.csv": State(_write_log, _use_log),
    "state.pt": State(_write_state, _use_state),
    "index.json": State(_write_index, _use_index),
    "safetensors header": State(_write_weights, _use_weights),
    "config.toml": State(_write_config, _use_config),
}
