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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", None), (".mov", None), (".mkv", None), (".ts", None), (".flv", None), (".3gp", None), (".nut", None),
     (".ts", "hevc"), (".mp4", "hevc"), (".mp4", "av1"), (".mkv", "av1"), (".mp4", "vp9"), (".nut", "vp9"),
     (".mov", "prores"), (".mkv", "ffv1")],
)  # fmt: skip
def test_a_result_as_planned_differs_in_nothing(tmp_path: Path, suffix: str, codec: str | None) -> None:
    result = upscale(clip(tmp_path / "a.mkv", "64x48"), output=str(tmp_path / f"b{suffix}"), codec=codec)
    assert (result.frames, result.damage) == (25, ())


def test_subtitles_and_captions_are_counted_apart(tmp_path: Path) -> None:
    subtitle = tmp_path / "s.srt"
    subtitle.write_text("1\n00:00:00,100 --> 00:00:00,400\nA\n")
    path = make(
        tmp_path / "a.mkv", *picture(seconds=1), "-i", str(subtitle), *x264(), "-c:s", "srt", "-map", "0", "-map", "1"
    )
    plan = planned(path)
    whole = Path(upscale(path).target)
    lost = ("stream 1 (subtitle subrip) is missing in the result",)
    assert differences(whole, plan, Expected(plan.mux, 25, WHOLE, captions=False)) == ((), ())
    assert differences(whole, plan, Expected(plan.mux, 25, WHOLE, captions=True)) == (lost, ())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-t", "0.8"], "the result has 20 of 25 frames"),
        (["-an"], "stream 1 (audio aac) is missing in the result"),
        (["-bsf:a", "noise=drop=1"], "stream 1 (audio aac) is missing in the result"),
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
