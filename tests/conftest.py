"""What tests of several rooms need: tiny networks in files, and pictures."""

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tiny networks only wait for a second thread

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image, ImageFile

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.system import process
from esrt_core.weights.checkpoint import save_checkpoint
from esrt_core.weights.header import CheckpointMetadata

# The same cases in every run, whatever the machine's speed; python -m tests.fuzz tries others.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")

# A suite that a script or nohup starts in the background has Ctrl-C ignored, and so would the programs it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

WeightsOf = Callable[[int], Path]
MakePicture = Callable[..., Path]


@pytest.fixture(autouse=True)
def process_of_nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test begin as in a program that is not ours: main() in a test would leave Pillow's limits behind."""
    monkeypatch.setattr(process, "_OWN", threading.Event())
    saved = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    yield
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = saved


@pytest.fixture(scope="session")
def weights_of(tmp_path_factory: pytest.TempPathFactory) -> WeightsOf:
    """Return the file of a tiny random network of a scale."""
    folder = tmp_path_factory.mktemp("weights")

    def path_of(scale: int) -> Path:
        path = folder / f"tiny_x{scale}.safetensors"
        if not path.exists():
            torch.manual_seed(scale)
            network = ESRT(ESRTConfig(scale, channels=16, blocks=1))
            save_checkpoint(network, path, CheckpointMetadata(scale, channels=16, blocks=1))
        return path

    return path_of


@pytest.fixture
def make_picture(tmp_path: Path) -> MakePicture:
    """Return a maker of picture files in `tmp_path`: smooth colors with a bright square."""

    def make(name: str = "a.png", width: int = 20, height: int = 12, mode: str = "RGB") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        y, x = np.mgrid[0:height, 0:width]
        pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=-1)
        pixels[height // 4 : height // 2, width // 4 : width // 2] = 255
        Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(path)
        return path

    return make


def quantized(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in torch's old quantized form, which is deprecated but still in files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(tensor, 1, 0, torch.quint8)


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Let no file grow beyond `limit` bytes: writers then fail as on a full disk, with EFBIG in place of ENOSPC."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
