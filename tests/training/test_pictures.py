from pathlib import Path

import pytest
from PIL import Image

from esrt_core.errors import TrainingError
from esrt_core.media.image.picture import ReadLimits
from esrt_core.training.pictures import Picture, find_pictures, split_validation
from tests.training.conftest import write_pictures


def test_pictures_are_found_recursively_and_the_rest_is_listed_with_reasons(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a" / "b", 2)
    write_pictures(tmp_path / "small", 1, 16, 16)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no more")
    (tmp_path / "photo.nef").write_bytes(b"raw")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._0.png").write_bytes(b"hidden")
    found = find_pictures([tmp_path], 2, 12)
    assert [picture.path.name for picture in found.usable] == ["0.png", "1.png"]
    assert {each.path.name for each in found.unusable} == {"broken.png", "photo.nef", "0.png"}
    assert all(each.path.name in each.reason for each in found.unusable)
    assert any("16 x 16 px, fewer than the required 24 x 24" in each.reason for each in found.unusable)


def test_a_picture_beyond_the_limit_is_listed_and_one_within_a_raised_limit_is_read(tmp_path: Path) -> None:
    write_pictures(tmp_path, 1, 48, 40)
    found = find_pictures([tmp_path], 2, 12, limits=ReadLimits(1919))
    assert (found.usable, len(found.unusable)) == ((), 1)
    assert "--max-pixels" in found.unusable[0].reason
    assert len(find_pictures([tmp_path], 2, 12, limits=ReadLimits(1920)).usable) == 1
    huge = Picture(tmp_path / "0.png", 2**16, 2**15)
    assert huge.limits.max_pixels == 2**31


def test_a_picture_named_twice_is_used_once(pictures: Path) -> None:
    assert len(find_pictures([pictures, pictures / "0.png"], 2, 8).usable) == 5


def test_sizes_are_those_after_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    [picture] = find_pictures([tmp_path], 2, 8).usable
    assert (picture.width, picture.height) == (30, 40)


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not exist"):
        find_pictures([tmp_path / "nowhere"], 2, 8)


def test_given_small_pictures_must_be_there_and_fit(pictures: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    Image.new("RGB", (36, 34)).save(small / "0x2.png")
    Image.new("RGB", (36, 34)).save(small / "1.png")
    Image.new("RGB", (37, 34)).save(small / "2.png")
    found = find_pictures([pictures], 2, 8, small)
    assert [(p.path.name, p.lr_path and p.lr_path.name) for p in found.usable] == [
        ("0.png", "0x2.png"),
        ("1.png", "1.png"),
    ]
    assert "74 x 68" in found.unusable[0].reason


def test_held_out_pictures_depend_on_names_and_seed_alone() -> None:
    pictures = [Picture(Path(f"{index}.png"), 40, 40) for index in range(40)]
    training, held = split_validation(pictures, 0)
    assert len(held) == 8
    assert set(training) | set(held) == set(pictures)
    assert set(split_validation(pictures[::-1], 0)[1]) == set(held)
    assert set(split_validation(pictures, 1)[1]) != set(held)


def test_two_pictures_are_the_least() -> None:
    pictures = [Picture(Path(f"{index}.png"), 40, 40) for index in range(2)]
    assert [len(part) for part in split_validation(pictures, 0)] == [1, 1]
    with pytest.raises(TrainingError, match="held out"):
        split_validation(pictures[:1], 0)
