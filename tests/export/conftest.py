"""Tiny networks, exported once: tracing takes many seconds."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from esrt_core.export.export import Exported, export_network
from esrt_core.export.options import ExportOptions
from esrt_core.model.esrt import ESRT
from esrt_core.weights.checkpoint import load_checkpoint
from tests.conftest import WeightsOf


@dataclass(frozen=True)
class Program:
    """Hold an exported file, what was said about it, and the network it came from."""

    path: Path
    said: Exported
    network: ESRT


class Exports:
    """Export the tiny x2 network into one folder, each form at most once."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self._folder, self._weights = folder, weights
        self._made: dict[str, Program] = {}

    def __call__(self, name: str, tile: int | None = None) -> Program:
        if name not in self._made:
            path = self._folder / name
            said = export_network(ExportOptions(path, model=str(self._weights), tile=tile))
            self._made[name] = Program(path, said, load_checkpoint(self._weights).network)
        return self._made[name]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, weights_of: WeightsOf) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"), weights_of(2))
