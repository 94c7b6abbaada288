from pathlib import Path

import pytest

from esrt_core.errors import OptionError
from esrt_core.pipeline.video.options import VideoOptions, find_clips


def test_a_folder_gives_its_clips_in_order_without_results_and_hidden_files(tmp_path: Path) -> None:
    for name in ("b.mkv", "a.MP4", "b_x2.mkv", "b_x2_preview.mkv", "c_x2.mov", ".d.mp4", "text.txt"):
        (tmp_path / name).touch()
    found = find_clips([str(tmp_path)], VideoOptions())
    assert [path.name for path in found] == ["a.MP4", "b.mkv", "c_x2.mov"]


def test_a_clip_named_twice_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    assert find_clips([str(path), str(tmp_path)], VideoOptions()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": ("cuda:0", "cpu")}, "--device cuda:0,cpu: the frames of a clip need devices of one kind"),
        ({"devices": ("cuda:0", "cuda:0")}, "names a device twice"),
        ({"max_pixels": 0}, "--max-pixels must be above 0"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        VideoOptions(**options)  # type: ignore[arg-type]
