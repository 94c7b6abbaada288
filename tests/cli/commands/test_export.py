import json
import re
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Run
from tests.conftest import WeightsOf


def test_weights_for_the_authors_code(run: Run, weights_of: WeightsOf, tmp_path: Path) -> None:
    ran = run("export", "--model", weights_of(2), "--format", "authors", "-o", "ESRT_x2.pth")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.decode().startswith("ESRT_x2.pth: tiny x2 as authors, ")
    assert "head.0.weight" in torch.load(tmp_path / "ESRT_x2.pth", weights_only=True)


@pytest.mark.slow
def test_verbose_says_which_weights_were_exported_and_where_a_program_ran(run: Run, weights_of: WeightsOf) -> None:
    ran = run("export", "--model", weights_of(2), "-o", "a.pt2", "--tile", 48, "-v")
    assert (ran.code, ran.out.decode().startswith("a.pt2: ")) == (0, True)
    weights, *shapes = ran.err.splitlines()
    assert re.fullmatch(rf"weights: {weights_of(2)}, sha256 [0-9a-f]{{64}}", weights)
    assert shapes
    assert all(re.fullmatch(r"run at \d+ pictures? of 48 x 48 px", line) for line in shapes)


def test_json_says_what_was_written(run: Run, weights_of: WeightsOf) -> None:
    ran = run("export", "--model", weights_of(3), "-s", 3, "-o", "a.safetensors", "--json")
    record = json.loads(ran.out)
    assert (record["ok"], record["format"], record["scale"], record["target"]) == (
        True,
        "safetensors",
        3,
        "a.safetensors",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.zip"], "error: cannot tell the format from a.zip; choose --format onnx, pt2, safetensors, authors"),
        (["-o", "no/a.pth"], "error: no/a.pth: the folder no does not exist; create it first"),
        (["-o", "a.pth", "-s", "4"], "upscales by 2, not 4; omit -s or use other weights"),
        (["-o", "a.pth", "--model", "nonsense"], "error: unknown weights 'nonsense'"),
    ],
)
def test_what_goes_wrong_is_one_line(run: Run, weights_of: WeightsOf, arguments: list[str], message: str) -> None:
    ran = run("export", "--model", weights_of(2), *arguments)
    assert ran.code == 1
    assert len(ran.error_lines) == 1
    assert message in ran.error_lines[0]


def test_without_a_file_the_command_does_not_parse(run: Run) -> None:
    ran = run("export")
    assert ran.code == 2
    assert ran.error_lines == ["error: Missing option '-o' / '--output'; see 'esrt export --help'"]
