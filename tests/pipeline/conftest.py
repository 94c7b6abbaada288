"""Engines of tiny random networks."""

from collections.abc import Callable

import pytest

from esrt_core.engine.options import EngineOptions
from esrt_core.pipeline.engines import Engines
from tests.conftest import WeightsOf

EnginesOf = Callable[[int], Engines]


@pytest.fixture
def engines_of(weights_of: WeightsOf) -> EnginesOf:
    """Return engines whose model has one scale."""
    return lambda scale: Engines(str(weights_of(scale)), EngineOptions(device="cpu", threads=1))
