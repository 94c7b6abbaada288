"""The tool that replaces bundled weights."""

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from esrt_core.errors import WeightsError
from esrt_core.model import ESRT
from esrt_core.weights import catalog
from esrt_core.weights.address import digest_of
from esrt_core.weights.catalog import (
    BUNDLED,
    RESERVED_NAMES,
    CatalogRow,
    bundled_rows,
    dump_rows,
    parse_rows,
    read_rows,
)
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.header import MAX_BYTES
from esrt_core.weights.library import describe_row, index_entries, make_index
from esrt_core.weights.settings import StoreOptions

ROW = CatalogRow(
    "mine", 4, "custom", "mine_x4.safetensors", 10, "a" * 64, ("https://h/m",), "MIT", "photos", {"S": 1.5}, "c"
)


def test_what_is_dumped_is_parsed() -> None:
    rows = (ROW, replace(ROW, scale=2))
    assert parse_rows(dump_rows(rows), "i") == (rows[1], rows[0])


def test_keys_of_a_later_version_are_passed_over() -> None:
    index = json.loads(dump_rows([ROW]))
    index["weights"][0]["speed"] = 3
    assert parse_rows(json.dumps(index).encode(), "i") == (ROW,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff{", r"i is not an index of weights \(it is not JSON"),
        (b"[]", "i is not an index"),
        (b'{"esrt_index": 1}', "i is not an index"),
        (b'{"esrt_index": 9, "weights": []}', "has version 9, this program supports 1"),
        (
            b'{"esrt_index": 1, "weights": [{"name": "a"}]}',
            "row 1 of index i is invalid: .*missing required field `scale`",
        ),
        (b'{"esrt_index": 1, "weights": [3]}', "row 1 of index i is invalid"),
        (b"[" * 100_000, "i is not an index"),
        (b'{"esrt_index": 1e999, "weights": []}', "i is not an index"),
        (b'{"esrt_index": ["\\n"], "weights": []}', "has version .* this program supports 1"),
        (dump_rows([ROW]).replace(b'"psnr": {', b'"psnr": {"x": Infinity, '), "i is not an index"),
        (dump_rows([ROW]).replace(b'"psnr": {', b'"psnr": {"x": 1' + b"0" * 400 + b","), "i is not an index"),
        (dump_rows([ROW, ROW]), "more than one row for mine x4"),
        (dump_rows([ROW]).replace(b'"psnr": {', b'"psnr": {"x": "high", '), "row 1 of index i is invalid"),
    ],
)
def test_what_is_no_index_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        parse_rows(content, "i")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"},
        {"name": ""},
        {"scale": 5},
        {"file": "../../etc/passwd"},
        {"file": "a/b"},
        {"file": "a\\b"},
        {"file": ".hidden"},
        {"file": ""},
        {"sha256": "A" * 64},
        {"sha256": "a" * 63},
        {"bytes": 0},
        {"bytes": MAX_BYTES + 1},
        {"bytes": True},
        {"scale": "4"},
        {"psnr": None},
        {"urls": "https://h/m"},
    ],
)
def test_rows_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    index = json.loads(dump_rows([ROW]))
    index["weights"][0].update(change)
    with pytest.raises(WeightsError, match="row 1 of index i is invalid"):
        parse_rows(json.dumps(index).encode(), "i")


def test_a_file_name_that_no_disk_can_hold_is_a_file_that_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(dump_rows([replace(ROW, file="ü" * 200, urls=())]))
    (entry,) = index_entries(StoreOptions(tmp_path, tmp_path, str(tmp_path)), refresh=False)
    assert not entry.present


def test_a_file_name_that_is_not_utf8_is_indexed_and_found(weights: Path, tmp_path: Path) -> None:
    weights.rename(tmp_path / "m\udcff.safetensors")
    (row,) = make_index(tmp_path, "https://h")
    assert row.urls == ("https://h/m%FF.safetensors",)
    (entry,) = index_entries(StoreOptions(tmp_path, tmp_path, str(tmp_path)), refresh=False)
    assert entry.row == row


def test_a_missing_index_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        read_rows(tmp_path / "none.json")


def test_the_bundled_catalog_is_that_of_the_bundled_files() -> None:
    rows = bundled_rows()
    assert {row.scale for row in rows if row.name == "clean"} == {2, 3, 4}
    assert sorted(row.file for row in rows) == sorted(path.name for path in BUNDLED.glob("*.safetensors"))
    for row in rows:
        assert row.name in RESERVED_NAMES
        assert digest_of(BUNDLED / row.file) == row.digest
        assert describe_row(BUNDLED / row.file) == row
        assert row.licence
        assert row.training_data
        assert row.psnr
        load_checkpoint(BUNDLED / row.file)


def test_the_bundled_files_leave_the_wheel_small() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < 14_000_000  # 15 MB in all


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
