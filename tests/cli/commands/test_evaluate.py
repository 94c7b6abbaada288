import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.engine.plan import TILINGS
from esrt_core.evaluation.protocol import measure
from tests.cli.conftest import Run
from tests.conftest import MakePicture, WeightsOf


@pytest.fixture
def hr(make_picture: MakePicture) -> Path:
    make_picture("hr/a.png", 44, 36)
    make_picture("hr/b.png", 33, 40)
    return make_picture("hr/gray.png", 36, 36, mode="L").parent


def test_json_has_every_picture_and_the_mean(run: Run, hr: Path, weights_of: WeightsOf) -> None:
    ran = run("eval", hr, "-s", 2, "--model", weights_of(2), "--json")
    assert ran.code == 0
    record = json.loads(ran.out)
    assert list(record) == ["scale", "pictures", "mean"]
    assert record["scale"] == 2
    assert [picture["name"] for picture in record["pictures"]] == ["a.png", "b.png", "gray.png"]
    for method in ("bicubic", "esrt"):
        for figure in ("psnr", "ssim"):
            values = [picture[method][figure] for picture in record["pictures"]]
            assert record["mean"][method][figure] == pytest.approx(np.mean(values))


def test_table_has_a_row_for_every_picture_and_the_mean(run: Run, hr: Path, weights_of: WeightsOf) -> None:
    ran = run("eval", hr, "--model", weights_of(3))
    assert ran.code == 0
    lines = ran.out.decode().splitlines()
    assert "x3" in lines[0]
    for name in ("a.png", "b.png", "gray.png", "mean"):
        assert sum(name in line for line in lines) == 1
    assert f"tiles of {TILINGS['cpu'].tile} px" in ran.err


def test_tile_0_says_that_it_is_the_papers_form(run: Run, hr: Path, weights_of: WeightsOf) -> None:
    ran = run("eval", hr, "--model", weights_of(2), "--tile", 0)
    assert ran.code == 0
    assert "whole pictures, the paper's form" in ran.err


def test_one_bad_picture_is_listed_and_the_rest_measured(run: Run, hr: Path, weights_of: WeightsOf) -> None:
    (hr / "broken.png").write_bytes(b"nothing")
    ran = run("eval", hr, "--model", weights_of(2), "--json")
    assert ran.code == 1
    assert len(ran.error_lines) == 1
    assert "broken.png" in ran.error_lines[0]
    record = json.loads(ran.out)
    assert len(record["pictures"]) == 3
    assert [failure["name"] for failure in record["failures"]] == ["broken.png"]


def test_a_folder_of_bad_pictures_has_no_mean(run: Run, tmp_path: Path, weights_of: WeightsOf) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "broken.png").write_bytes(b"nothing")
    ran = run("eval", tmp_path / "bad", "--model", weights_of(2), "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["mean"] is None
    assert run("eval", tmp_path / "bad", "--model", weights_of(2)).out == b""


def test_equal_pictures_have_no_bound_and_valid_json(run: Run, tmp_path: Path, weights_of: WeightsOf) -> None:
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "flat" / "a.png")
    ran = run("eval", tmp_path / "flat", "--model", weights_of(2), "--json")
    assert json.loads(ran.out)["mean"]["bicubic"] == {"psnr": None, "ssim": pytest.approx(1.0)}


def test_given_lr_pictures_are_used_and_results_saved(
    run: Run, hr: Path, tmp_path: Path, weights_of: WeightsOf
) -> None:
    lr = tmp_path / "lr"
    lr.mkdir()
    for path in hr.iterdir():
        width, height = Image.open(path).size
        Image.new("RGB", (width // 2, height // 2), "gray").save(lr / f"{path.stem}x2.png")
    ran = run("eval", hr, "--model", weights_of(2), "--lr-dir", lr, "--save-images", tmp_path / "out", "--json")
    assert ran.code == 0
    saved = np.asarray(Image.open(tmp_path / "out" / "ax2.png"))
    score = measure(saved, np.asarray(Image.open(hr / "a.png")), 2)
    assert json.loads(ran.out)["pictures"][0]["esrt"] == {"psnr": score.psnr, "ssim": score.ssim}


def test_tta_changes_the_result(run: Run, hr: Path, weights_of: WeightsOf) -> None:
    arguments = ("eval", hr / "a.png", "--model", weights_of(2), "--json")
    assert json.loads(run(*arguments).out) != json.loads(run(*arguments, "--tta").out)


def test_refusals_are_one_sentence(run: Run, hr: Path, tmp_path: Path, weights_of: WeightsOf) -> None:
    refused = [
        ("eval", tmp_path / "nowhere", "--model", weights_of(2)),
        ("eval", tmp_path / "home-without-pictures", "--model", weights_of(2)),
        ("eval", hr, "--model", weights_of(2), "-s", 3),
        ("eval", hr, "--model", weights_of(2), "-s", 7),
        ("eval", hr, "--model", "auto"),
        ("eval", hr, "--model", weights_of(2), "--lr-dir", tmp_path / "nowhere"),
    ]
    (tmp_path / "home-without-pictures").mkdir()
    for arguments in refused:
        ran = run(*arguments)
        assert ran.code == 1, arguments
        assert len(ran.error_lines) == 1, arguments
        assert ran.out == b""
