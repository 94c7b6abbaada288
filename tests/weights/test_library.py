from pathlib import Path

import pytest

from esrt_core.errors import WeightsError
from esrt_core.model import ESRT
from esrt_core.weights.address import digest_of
from esrt_core.weights.catalog import read_rows
from esrt_core.weights.checkpoint import save_checkpoint
from esrt_core.weights.header import CheckpointMetadata
from esrt_core.weights.library import make_index, name_from_file


def test_every_file_of_a_folder_becomes_a_row(weights: Path, network: ESRT, metadata: CheckpointMetadata) -> None:
    save_checkpoint(network, weights.with_name("other.safetensors"), metadata)
    rows = make_index(weights.parent)
    assert [(row.name, row.scale, row.file) for row in rows] == [
        ("other", 2, "other.safetensors"),
        ("tiny", 2, "tiny_x2.safetensors"),
    ]
    assert rows[1].digest == digest_of(weights)
    assert (rows[1].kind, rows[1].licence, rows[1].psnr) == ("test", "MIT", {"Set5": 30.5})
    assert read_rows(weights.parent / "index.json") == rows


def test_a_base_address_makes_full_addresses(weights: Path) -> None:
    (row,) = make_index(weights.parent, "https://host/w/")
    assert row.urls == ("https://host/w/tiny_x2.safetensors",)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no \.safetensors files"):
        make_index(tmp_path)
    with pytest.raises(WeightsError, match="is not a folder"):
        make_index(tmp_path / "none")


def test_a_foreign_file_is_named(weights: Path) -> None:
    weights.with_name("bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"bad\.safetensors is not a safetensors file"):
        make_index(weights.parent)
    assert not (weights.parent / "index.json").exists()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a_x2.pth", "a"),
        ("a-x4.pt", "a"),
        ("x2.pt", "x2"),
        ("best.safetensors", "best"),
        ("__", "weights"),
        ("é b", "b"),
    ],
)
def test_a_file_suggests_a_name(file: str, name: str) -> None:
    assert name_from_file(Path(file)) == name
