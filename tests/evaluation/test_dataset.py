from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import MediaError, OptionError
from esrt_core.evaluation.dataset import find_lr, find_pictures, read_pair, read_rgb, rgb_of
from esrt_core.evaluation.protocol import make_lr
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.picture import ReadLimits


def save(path: Path, *shape: int) -> np.ndarray:
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def test_pictures_are_listed_by_name_without_hidden_and_foreign_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "._a.png", "deeper/c.png"):
        save(tmp_path / name, 4, 4)
    (tmp_path / "notes.txt").write_text("no picture")
    assert [path.name for path in find_pictures(tmp_path)] == ["a.PNG", "b.png"]
    assert find_pictures(tmp_path / "b.png") == [tmp_path / "b.png"]


def test_a_folder_without_pictures_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="has no readable pictures; name a folder"):
        find_pictures(tmp_path)
    save(tmp_path / "HR" / "a.png", 4, 4)
    with pytest.raises(OptionError, match="subfolders are not searched"):
        find_pictures(tmp_path)
    with pytest.raises(OptionError, match="does not exist"):
        find_pictures(tmp_path / "missing")


@pytest.mark.parametrize("name", ["birdx3.png", "bird_x3.png", "bird.png", "birdx3.jpg"])
def test_lr_is_found_by_its_usual_names(name: str) -> None:
    others = [Path("birds.png"), Path("birdx2.png"), Path(name)]
    assert find_lr(Path("HR/bird.png"), others, 3) == Path(name)


def test_lr_with_the_scale_in_its_name_comes_first() -> None:
    assert find_lr(Path("bird.png"), [Path("bird.png"), Path("birdx2.png")], 2) == Path("birdx2.png")


def test_missing_lr_is_named() -> None:
    with pytest.raises(MediaError, match=r"no LR picture for bird.png: expected birdx2.png or bird.png"):
        find_lr(Path("bird.png"), [Path("birdx4.png")], 2)


def test_lr_is_made_from_hr_cut_to_multiples(tmp_path: Path) -> None:
    hr = save(tmp_path / "a.png", 41, 52, 3)
    pair = read_pair(tmp_path / "a.png", None, 3, ReadLimits())
    np.testing.assert_array_equal(pair.hr, hr[:39, :51])
    np.testing.assert_array_equal(pair.lr, make_lr(hr[:39, :51], 3))


def test_given_lr_is_taken_as_it_is_and_its_size_checked(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 41, 52, 3)
    given = save(tmp_path / "ax3.png", 13, 17, 3)
    wrong = tmp_path / "wrong.png"
    save(wrong, 14, 17, 3)
    np.testing.assert_array_equal(read_pair(tmp_path / "a.png", tmp_path / "ax3.png", 3, ReadLimits()).lr, given)
    with pytest.raises(MediaError, match=r"wrong.png has 17 x 14 px; a.png at x3 needs 17 x 13"):
        read_pair(tmp_path / "a.png", wrong, 3, ReadLimits())


def test_gray_counts_as_three_equal_channels(tmp_path: Path) -> None:
    gray = save(tmp_path / "gray.png", 12, 16)
    np.testing.assert_array_equal(read_rgb(tmp_path / "gray.png", ReadLimits()), np.stack([gray] * 3, axis=-1))


def test_transparent_pictures_are_refused_and_opaque_alpha_is_not(tmp_path: Path) -> None:
    pixels = save(tmp_path / "a.png", 12, 16, 4)
    with pytest.raises(MediaError, match=r"a\.png is transparent"):
        read_rgb(tmp_path / "a.png", ReadLimits())
    opaque = pixels.copy()
    opaque[..., 3] = 255
    Image.fromarray(opaque).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "b.png", ReadLimits()), pixels[..., :3])


def test_deeper_pictures_are_rounded_to_8_bits() -> None:
    deep = Frame((np.array([[0, 65535, 32768, 128]], np.uint16),), ColorSpace.GRAY, depth=16)
    np.testing.assert_array_equal(rgb_of(deep)[0, :, 1], [0, 255, 128, 0])
    floating = Frame((np.array([[[0.0, 1.5, 0.5]]], np.float32),), depth=32)
    np.testing.assert_array_equal(rgb_of(floating), [[[0, 255, 128]]])
