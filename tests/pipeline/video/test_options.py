from fractions import Fraction
from pathlib import Path

import pytest

from esrt_cli.params import parse_seconds
from esrt_core.errors import OptionError
from esrt_core.pipeline.video.options import VideoOptions, find_clips


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("10s", 10),
        ("1:30", 90),
        ("1:00:00", 3600),
        ("0:01:30.5", Fraction(181, 2)),
        ("0.1", Fraction(1, 10)),
    ],
)
def test_times_are_read_exactly(text: str, seconds: Fraction) -> None:
    assert parse_seconds(text, "--start") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "1:2:3:4", "1e3", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"--end .* is no time; write seconds"):
        parse_seconds(text, "--end")


def test_a_folder_gives_its_clips_in_order_without_results_and_hidden_files(tmp_path: Path) -> None:
    for name in ("b.mkv", "a.MP4", "b_x2.mkv", "b_x2_preview.mkv", "c_x2.mov", ".d.mp4", "text.txt"):
        (tmp_path / name).touch()
    found = find_clips([str(tmp_path)], VideoOptions())
    assert [path.name for path in found] == ["a.MP4", "b.mkv", "c_x2.mov"]


def test_a_clip_named_twice_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    assert find_clips([str(path), str(tmp_path)], VideoOptions()) == [path]
