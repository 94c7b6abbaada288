"""The tool that replaces bundled weights."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from esrt_core.model import ESRT
from esrt_core.weights import catalog
from esrt_core.weights.catalog import read_rows
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.digest import digest_of

TOOL = Path(__file__).parents[2] / "tools" / "bundle_weights.py"


def bundle(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> None:
    monkeypatch.setattr(catalog, "BUNDLED", folder)
    monkeypatch.setattr(sys, "argv", [str(TOOL), *arguments])
    runpy.run_path(str(TOOL), run_name="__main__")


def test_one_command_refreshes_file_and_row(
    weights: Path, network: ESRT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundled"
    folder.mkdir()
    bundle(monkeypatch, folder, str(weights), "photo", "--psnr", "Set14=27.5", "--training", "hours=2", "--card", "new")
    (row,) = read_rows(folder / "index.json")
    assert (row.name, row.scale, row.kind, row.card) == ("photo", 2, "photo", "new")
    assert row.psnr == {"Set5": 30.5, "Set14": 27.5}
    assert row.digest == digest_of(folder / row.file)
    checkpoint = load_checkpoint(folder / row.file)
    assert checkpoint.metadata.training == {"steps": 7, "hours": "2"}
    torch.testing.assert_close(checkpoint.network.head.weight, network.head.weight, rtol=1e-3, atol=1e-4)
