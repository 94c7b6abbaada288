import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.conftest import MakePicture, WeightsOf
from tests.evaluation.pictures import texture


def test_figures_and_sheet(run: Run, tmp_path: Path, weights_of: WeightsOf) -> None:
    Image.fromarray(texture()).save(tmp_path / "a.png")
    ran = run("compare", "a.png", "--models", weights_of(2), "--device", "cpu")
    lines = ran.out.decode().splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert lines[0] == "a.png, reduced by 2 and upscaled again (PSNR on Y, gain over bicubic):"
    assert re.fullmatch(r"bicubic      +\d+\.\d\d dB  \+0\.00", lines[1])
    assert re.fullmatch(r"ESRT \(tiny\)  +-?\d+\.\d\d dB  [+-]\d+\.\d\d", lines[2])
    assert lines[3] == "a_x2_compare.png: crops where they differ most"


def test_verbose_says_which_weights_ran_and_how(run: Run, tmp_path: Path, weights_of: WeightsOf) -> None:
    Image.fromarray(texture()).save(tmp_path / "a.png")
    ran = run("compare", "a.png", "--model", weights_of(2), "--device", "cpu", "-v")
    (line,) = ran.err.splitlines()
    made = r"on cpu in fp32, tile \d+, 1 tile computed, 0 reused"
    assert re.fullmatch(rf"ESRT \(tiny\): {weights_of(2)}, sha256 [0-9a-f]{{64}}, {made}", line)


def test_json_of_a_page(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture(width=40, height=30)
    ran = run("compare", "a.png", "--models", weights_of(3), "-o", "a.html", "--json", "--device", "cpu")
    record = json.loads(ran.out)
    assert (record["ok"], record["target"], record["scale"]) == (True, "a.html", 3)
    assert [score["label"] for score in record["scores"]] == ["bicubic", "ESRT (tiny)"]
    assert record["scores"][1]["gain"] == record["scores"][1]["psnr"] - record["scores"][0]["psnr"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], "error: none.png does not exist; check the path"),
        (["a.png", "-o", "a.txt"], "error: a.txt: use .png, or .html for a page with a slider"),
        (["a.png", "--models", "clean,nonsense"], "error: unknown weights 'nonsense'"),
    ],
)
def test_what_goes_wrong_is_one_line(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf, arguments: list[str], message: str
) -> None:
    make_picture()
    models = [] if "--models" in arguments else ["--models", weights_of(2)]
    ran = run("compare", *arguments, *models)
    assert ran.code == 1
    assert len(ran.error_lines) == 1
    assert message in ran.error_lines[0]
