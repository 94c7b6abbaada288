"""What is checked at the end: the result on the disk, not what was meant."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from esrt_core.media.video import mux as mux_module
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.pipeline.video import run as run_module
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.plan import VideoPlan
from esrt_core.pipeline.video.run import prepare_clip
from esrt_core.pipeline.video.verify import Expected, differences
from tests.pipeline.clips import Repeaters, make, picture, sound, upscale, x264

WHOLE = Fraction(1)


def clip(path: Path, size: str = "32x24", seconds: float = 1) -> Path:
    return make(path, *picture(size, seconds=seconds), *sound(seconds), *x264(), "-c:a", "aac")


def planned(path: Path) -> VideoPlan:
    return prepare_clip(path, VideoOptions(overwrite=True), Repeaters())  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".flv", ".3gp", ".nut"])
def test_a_result_as_planned_differs_in_nothing(tmp_path: Path, suffix: str) -> None:
    result = upscale(clip(tmp_path / "a.mkv"), output=str(tmp_path / f"b{suffix}"))
    assert (result.notes, result.damage) == ((), ())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-t", "0.8"], "the result has 20 of 25 frames"),
        (["-an"], "stream 1 (audio aac) is missing in the result"),
        (["-vf", "scale=32:24"], "the picture of the result has 32 x 24 px"),
        (["-vf", "setpts=PTS*2", "-fps_mode", "passthrough"], "the picture of the result lasts 1.96 s of 1.00 s"),
        (["-vn"], "the result has no picture"),
    ],
)
def test_what_differs_from_the_plan_is_said(tmp_path: Path, arguments: list[str], line: str) -> None:
    plan = planned(clip(tmp_path / "a.mp4"))
    whole = Path(upscale(plan.clip.path).target)
    other = make(tmp_path / "other.mp4", "-i", str(whole), *x264("-bf", "0"), "-c:a", "copy", *arguments)
    assert line in differences(other, plan, Expected(plan.mux, 25, WHOLE, captions=False))[0]
    assert differences(whole, plan, Expected(plan.mux, 25, WHOLE, captions=False)) == ((), ())


def test_a_result_that_lost_frames_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_list = mux_module.write_list

    def shorter(target: Path, pieces: list[mux_module.SegmentFile]) -> None:
        write_list(target, pieces[:-1])

    path = clip(tmp_path / "a.mp4")
    monkeypatch.setattr(run_module, "write_list", shorter)
    result = upscale(path, segment=Fraction(1, 2), size=SizeRequest(factor=Fraction(2)))
    assert len(result.damage) == 1
    assert result.damage[0].endswith(" of 25 frames")


def test_a_stream_without_data_in_the_part_is_no_damage(tmp_path: Path) -> None:
    short = make(tmp_path / "a.mp4", *picture(seconds=2), *sound(0.4), *x264(), "-c:a", "aac")
    result = upscale(short, start=Fraction(1))
    assert result.damage == ()
    assert "stream 1 (audio aac) has no data here" in result.notes
    assert replace(result, notes=()).frames == 25
