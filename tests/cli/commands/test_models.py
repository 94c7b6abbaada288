"""`esrt models` as a user types it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from esrt_core.weights.address import digest_of
from esrt_core.weights.catalog import bundled_rows
from tests.cli.conftest import Run
from tests.conftest import WeightsOf
from tests.weights.conftest import Site, serving


def test_list_shows_the_bundled_weights_in_columns(run: Run) -> None:
    done = run("models", "list")
    titles, *lines = done.out.decode().splitlines()
    assert done.code == 0
    assert re.split("  +", titles) == ["name", "scale", "kind", "size", "Set5 dB", "Set14 dB", "where"]
    assert [line.split()[:2] for line in lines] == [
        ["clean", "x2"],
        ["clean", "x3"],
        ["clean", "x4"],
        ["drawing", "x2"],
        ["drawing", "x3"],
        ["drawing", "x4"],
        ["photo", "x2"],
        ["photo", "x3"],
        ["photo", "x4"],
    ]
    assert all(line.endswith("bundled") for line in lines)


def test_an_index_row_stands_beside_an_import_of_its_name(run: Run, weights_of: WeightsOf, tmp_path: Path) -> None:
    folder = tmp_path / "hosted"
    folder.mkdir()
    shutil.copyfile(weights_of(2), folder / "mine_x2.safetensors")
    shutil.copyfile(weights_of(3), folder / "mine_x3.safetensors")
    assert run("models", "index", folder).code == 0
    assert run("models", "import", weights_of(2), "--name", "mine").code == 0
    lines = run("models", "list", "--index", folder / "index.json").out.decode().splitlines()
    mine = [re.split("  +", line) for line in lines if line.startswith("mine")]
    assert [(scale, where) for _, scale, *_, where in mine] == [
        ("x2", "imported"),
        ("x2", "file; hidden by the imported one"),
        ("x3", "file; hidden by the imported one"),
    ]


def test_figures_of_different_pictures_are_never_in_one_column(run: Run) -> None:
    listed = run("models", "list").out.decode()
    for row in bundled_rows():
        if "Set5" not in row.psnr:
            assert f"{row.psnr['held-out']:.2f}" not in listed
    assert "PSNR: held-out" in run("models", "info", "drawing").out.decode()


def test_list_as_json_holds_the_catalog(run: Run) -> None:
    rows = json.loads(run("models", "list", "--json").out)
    assert {"name", "scale", "kind", "bytes", "sha256", "urls", "licence", "training_data", "psnr"} <= rows[0].keys()
    assert all(row["present"] for row in rows)


def test_an_import_can_be_used_by_name(run: Run, weights_of: WeightsOf) -> None:
    done = run("models", "import", weights_of(2), "--name", "mine")
    assert done.out == b"mine x2: use it with --model mine\n"
    assert b"mine" in run("models", "list").out
    path = Path(run("models", "path", "mine").out.decode().strip())
    assert path.is_file()
    assert path.is_relative_to(Path("home").absolute())
    assert run("models", "verify", "mine").code == 0
    assert run("models", "remove", "mine").code == 0
    assert not path.exists()
    assert run("models", "path", "mine").code == 1


def test_an_import_is_named_after_its_file(run: Run, weights_of: WeightsOf) -> None:
    shutil.copyfile(weights_of(2), "own_x2.safetensors")
    assert run("models", "import", "own_x2.safetensors").out.startswith(b"own x2: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "none.pth"], "none.pth does not exist"),
        (["import", "none.pth", "--name", "auto"], "the name 'auto' is reserved"),
        (["info", "nix"], "unknown weights 'nix'"),
        (["info", "clean", "-s", "5"], "no 'clean' weights for x5"),
        (["remove", "clean"], "bundled with the program"),
        (["fetch", "http://example.com/a"], "not encrypted"),
        (["index", "."], "has no .safetensors files"),
        (["list", "--index", "none.json"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, arguments: list[str], message: str) -> None:
    done = run("models", *arguments)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == b""


def test_info_shows_what_the_file_says(run: Run) -> None:
    done = run("models", "info", "clean", "-s", "2")
    assert done.out.startswith(b"clean x2\n")
    for fact in (b"licence: MIT", b"sha256: ", b"network: 32 channels, 3 blocks", b"PSNR: "):
        assert fact in done.out
    (found,) = json.loads(run("models", "info", "clean", "-s", "2", "--json").out)
    assert found["channels"] == 32
    assert found["training"]


def test_verify_names_what_is_damaged(run: Run, weights_of: WeightsOf) -> None:
    run("models", "import", weights_of(2), "--name", "mine")
    path = Path(run("models", "path", "mine").out.decode().strip())
    path.write_bytes(path.read_bytes()[:-4])
    done = run("models", "verify")
    assert done.code == 1
    assert done.out.count(b": ok, ") == len(bundled_rows())
    assert done.err.startswith(f"error: {path} is damaged or was changed: expected")
    results = json.loads(run("models", "verify", "--json").out)
    assert [result["ok"] for result in results] == [True] * len(bundled_rows()) + [False]


def test_path_alone_shows_the_folders(run: Run) -> None:
    assert run("models", "path").out.decode().splitlines() == [
        f"cache: {Path('home/cache').absolute()}",
        f"data: {Path('home/data').absolute()}",
    ]


@pytest.fixture
def folder(weights_of: WeightsOf, run: Run) -> Path:
    folder = Path("hosted")
    folder.mkdir()
    shutil.copyfile(weights_of(2), folder / "tiny_x2.safetensors")
    return folder


def test_a_folder_that_was_indexed_serves_by_name(run: Run, folder: Path) -> None:
    done = run("models", "index", "hosted")
    assert done.code == 0
    assert b"tiny" in done.out
    done = run("models", "path", "tiny", "--index", "hosted/index.json")
    assert Path(done.out.decode().strip()) == (folder / "tiny_x2.safetensors").absolute()


def host(site: Site, folder: Path) -> None:
    for path in folder.iterdir():
        site.files[path.name] = path.read_bytes()


def test_an_index_on_the_network_is_listed_and_fetched(run: Run, folder: Path) -> None:
    run("models", "index", "hosted")
    with serving() as site:
        host(site, folder)
        index = site.url("index.json")
        assert b"not downloaded" in run("models", "list", "--index", index).out
        (fetched,) = json.loads(run("models", "fetch", "tiny", "--index", index, "--json").out)
        assert b"cached" in run("models", "list", "--index", index).out
    assert fetched["sha256"] == digest_of(folder / "tiny_x2.safetensors").sha256
    assert Path(fetched["path"]).is_file()


def test_an_address_is_fetched_and_its_hash_is_said(run: Run, folder: Path) -> None:
    with serving() as site:
        host(site, folder)
        address = site.url("tiny_x2.safetensors")
        done = run("models", "fetch", address)
    sha256 = digest_of(folder / "tiny_x2.safetensors").sha256
    assert done.code == 0
    assert f"sha256 {sha256} is recorded" in done.err
    assert run("models", "fetch", address).err == ""
    assert address.encode() in run("models", "list").out
    assert run("models", "remove", address).code == 0


def test_every_command_has_an_example(run: Run) -> None:
    for command in ("list", "info", "fetch", "verify", "import", "remove", "path", "index"):
        assert f"esrt models {command}".encode() in run("models", command, "--help").out
