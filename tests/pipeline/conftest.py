"""Engines of tiny random networks, and folders for them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from esrt_core.engine.options import EngineOptions
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.selection import UpscalerPool
from tests.conftest import WeightsOf
from tests.pipeline.folders import Asked

PoolOf = Callable[[int], UpscalerPool]


@pytest.fixture
def pool_of(weights_of: WeightsOf) -> PoolOf:
    """Return engines whose model has one scale."""
    return lambda scale: UpscalerPool(str(weights_of(scale)), EngineOptions(device="cpu", threads=1))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_of: WeightsOf) -> Asked:
    """Return a maker of options for the folder `in` of the working folder, with a network of x2."""
    monkeypatch.chdir(tmp_path)

    def make(*inputs: str, size: SizeRequest = SizeRequest(), **changes: object) -> FolderOptions:  # noqa: B008
        engine = EngineOptions(device="cpu", threads=1)
        upscale = UpscaleOptions(size, model=str(weights_of(2)), engine=engine)
        if "overwrite" in changes:
            upscale = replace(upscale, overwrite=bool(changes.pop("overwrite")))
        return replace(FolderOptions(inputs or ("in",), upscale=upscale, devices=("cpu",)), **changes)  # type: ignore[arg-type]

    return make
