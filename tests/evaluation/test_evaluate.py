from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import OptionError, TargetError
from esrt_core.evaluation.evaluate import EvaluationOptions, Failure, evaluate_folder
from esrt_core.evaluation.protocol import measure
from esrt_core.media.frame import Frame
from esrt_core.media.resize import resize_frame
from esrt_core.progress import Progress


def enlarge(frame: Frame) -> Frame:
    return resize_frame(frame, 2 * frame.width, 2 * frame.height)


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    folder = tmp_path / "hr"
    folder.mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        small = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(small).resize((48, 40), Image.Resampling.BICUBIC).save(folder / name)
    return folder


def test_every_picture_is_measured_beside_bicubic(hr: Path) -> None:
    evaluation = evaluate_folder(EvaluationOptions(hr, 2), enlarge)
    assert [picture.name for picture in evaluation.pictures] == ["a.png", "b.png"]
    assert evaluation.failures == ()
    first, second = evaluation.pictures
    assert first.bicubic != first.esrt
    assert evaluation.mean_esrt.psnr == pytest.approx((first.esrt.psnr + second.esrt.psnr) / 2)
    assert evaluation.mean_bicubic.ssim == pytest.approx((first.bicubic.ssim + second.bicubic.ssim) / 2)


def test_one_bad_picture_is_listed_and_the_rest_measured(hr: Path) -> None:
    (hr / "aa.png").write_bytes(b"no picture at all")
    Image.new("RGB", (9, 9)).save(hr / "tiny.png")
    evaluation = evaluate_folder(EvaluationOptions(hr, 2), enlarge)
    assert [picture.name for picture in evaluation.pictures] == ["a.png", "b.png"]
    assert [failure.name for failure in evaluation.failures] == ["aa.png", "tiny.png"]
    assert "too small" in evaluation.failures[1].reason


def test_given_lr_pictures_are_used(hr: Path, tmp_path: Path) -> None:
    lr = tmp_path / "lr"
    lr.mkdir()
    Image.new("RGB", (24, 20), "gray").save(lr / "ax2.png")
    evaluation = evaluate_folder(EvaluationOptions(hr, 2, lr_dir=lr), enlarge)
    flat = np.full((40, 48, 3), 128, np.uint8)
    assert evaluation.pictures[0].esrt == measure(flat, np.asarray(Image.open(hr / "a.png")), 2)
    assert evaluation.failures[0].name == "b.png"
    assert "no LR picture" in evaluation.failures[0].reason


def test_results_are_saved_and_never_silently_replaced(hr: Path, tmp_path: Path) -> None:
    options = EvaluationOptions(hr, 2, save_to=tmp_path / "new" / "results")
    evaluation = evaluate_folder(options, enlarge)
    saved = np.asarray(Image.open(tmp_path / "new" / "results" / "ax2.png"))
    assert measure(saved, np.asarray(Image.open(hr / "a.png")), 2) == evaluation.pictures[0].esrt
    with pytest.raises(TargetError, match=r"ax2\.png"):
        evaluate_folder(options, enlarge)
    again = EvaluationOptions(hr, 2, save_to=options.save_to, overwrite=True)
    assert evaluate_folder(again, enlarge) == evaluation


def test_two_results_of_one_name_are_refused_before_the_work(hr: Path, tmp_path: Path) -> None:
    Image.open(hr / "a.png").save(hr / "a.jpg")
    with pytest.raises(TargetError, match=r"two results would be named ax2\.png"):
        evaluate_folder(EvaluationOptions(hr, 2, save_to=tmp_path), enlarge)


def test_progress_counts_pictures(hr: Path) -> None:
    seen: list[Progress] = []
    evaluate_folder(EvaluationOptions(hr, 2), enlarge, seen.append)
    assert [(report.done, report.total, report.unit) for report in seen] == [
        (0, 2, "pictures"),
        (1, 2, "pictures"),
        (2, 2, "pictures"),
    ]


def test_a_refusal_of_the_engine_belongs_to_its_picture(hr: Path) -> None:
    def refuse(frame: Frame) -> Frame:
        raise OptionError("too large for tile 0")

    evaluation = evaluate_folder(EvaluationOptions(hr, 2), refuse)
    assert evaluation.failures == (Failure("a.png", "too large for tile 0"), Failure("b.png", "too large for tile 0"))


def test_options_are_checked_once(hr: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="2, 3 or 4"):
        EvaluationOptions(hr, 5)
    with pytest.raises(OptionError, match="--lr-dir"):
        EvaluationOptions(hr, 2, lr_dir=tmp_path / "missing")
