import io
from collections.abc import Iterable, Iterator, Sized

import numpy as np
import pytest
from PIL import Image

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.animation_writer import _rounded
from esrt_core.media.image.decode import probe
from esrt_core.media.image.encode import pages_kept
from esrt_core.media.image.formats import JPEG, WEBP
from esrt_core.media.image.picture import EncodeOptions, Page
from esrt_core.media.image.pillow_writer import to_palette
from tests.media.pictures import LIMITS, animation, noise, present, read, reopened, written

DURATIONS = [100, 50, 30, 70, 20, 1000]
LOSSLESS = EncodeOptions(lossless=True)


def source(format: str, *, alpha: bool) -> bytes:
    parameters = {"GIF": {"disposal": 2, "loop": 3}, "WEBP": {"lossless": True, "loop": 4}, "PNG": {"loop": 4}}
    return animation(format, DURATIONS, alpha=alpha, **parameters[format])


def timeline(pages: Iterable[Page]) -> np.ndarray:
    """The picture on screen at every hundredth of a second, as RGBA with no color under what is transparent."""
    shown = []
    for page in pages:
        height, width = page.frame.height, page.frame.width
        rgba = np.empty((height, width, 4), np.uint8)
        rgba[..., :3] = page.frame.planes[0].reshape(height, width, -1)
        rgba[..., 3] = 255 if page.frame.alpha is None else page.frame.alpha
        rgba[rgba[..., 3] == 0] = 0
        shown += [rgba] * round(present(page.duration_ms) / 10)
    return np.stack(shown)


@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("source_format", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("format", ["gif", "webp", "png"])
def test_animations_look_the_same_at_any_time(source_format: str, format: str, alpha: bool) -> None:
    original = read(source(source_format, alpha=alpha))
    assert original.info.animated
    data, notes = written(original.pages, format, original.metadata, LOSSLESS)
    result = read(data)
    assert notes == ()
    assert result.metadata.loop == original.metadata.loop == 4
    assert np.array_equal(timeline(result.pages), timeline(original.pages))


def test_avif_animations_keep_their_timing() -> None:
    original = read(source("WEBP", alpha=False))
    data, notes = written(original.pages, "avif", original.metadata)
    assert "plays endlessly, not 4 times" in notes[0]
    difference = timeline(read(data).pages).astype(int) - timeline(original.pages)
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize(("repeats", "plays"), [(None, 1), (0, 0), (2, 3)])
def test_gif_repeats_are_plays_and_back(repeats: int | None, plays: int) -> None:
    parameters = {} if repeats is None else {"loop": repeats}
    original = read(animation("GIF", [50, 50], alpha=False, **parameters))
    assert original.metadata.loop == plays
    again, _ = written(original.pages, "gif", original.metadata)
    assert reopened(again).info.get("loop") == repeats


def test_pages_can_be_iterated_again_and_counted() -> None:
    pages = read(source("GIF", alpha=True)).pages
    assert isinstance(pages, Sized)
    assert len(pages) == len(list(pages)) == len(list(pages)) == 5


def test_the_default_image_of_an_apng_is_no_frame() -> None:
    data = animation("PNG", [50, 60, 70], alpha=False, default_image=True)
    original = read(data)
    assert [page.duration_ms for page in original.pages] == [50, 60]
    assert "left out" in original.notes[0]


def test_a_format_without_animation_takes_the_first_frame_only() -> None:
    info = probe(source("GIF", alpha=True), LIMITS)
    assert pages_kept(info, WEBP) == (5, ())
    count, notes = pages_kept(info, JPEG)
    assert count == 1
    assert "only the first of 5 frames" in notes[0]

    def pages() -> Iterator[Page]:
        yield Page(Frame((noise(4, 4, 3),)), 10.0)
        raise AssertionError("the second frame must not be computed")

    assert reopened(written(pages(), "jpeg")[0]).size == (4, 4)


def test_odd_durations_keep_their_sum() -> None:
    assert list(_rounded([33.3, 33.3, 33.3, 0.0, 1.0], 10)) == [30, 40, 30, 0, 10]


def test_gray_frames_stay_gray() -> None:
    from PIL import Image

    frames = [Image.fromarray(noise(8, 8, seed=seed)) for seed in range(2)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert [page.frame.space.value for page in read(file.getvalue()).pages] == ["gray", "gray"]


def colors_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGBA"))


def test_few_colors_are_exact() -> None:
    color = np.kron(noise(5, 5, 3), np.ones((4, 4, 1), np.uint8))
    assert np.array_equal(colors_of(to_palette(Frame((color,))))[..., :3], color)


def test_hidden_pixels_do_not_spoil_the_palette() -> None:
    color = noise(40, 40, 3)
    color[:4] = (200, 10, 30)
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:4] = 255
    result = colors_of(to_palette(Frame((color,), alpha=alpha)))
    assert np.array_equal(result[..., 3], alpha)
    assert np.all(result[:4, :, :3] == (200, 10, 30))


def test_half_transparency_becomes_hard() -> None:
    frame = Frame((np.full((1, 2), 90, np.uint8),), ColorSpace.GRAY, alpha=np.array([[127, 128]], np.uint8))
    assert colors_of(to_palette(frame))[..., 3].tolist() == [[0, 255]]


def test_a_frame_all_hidden_is_all_transparent() -> None:
    frame = Frame((noise(3, 3, 3),), alpha=np.zeros((3, 3), np.uint8))
    assert not colors_of(to_palette(frame))[..., 3].any()


def test_what_stands_still_keeps_its_colors() -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    first = np.dstack([smooth, smooth // 2, 200 - smooth])
    second = first.copy()
    second[:4, :4] = 255 - second[:4, :4]
    one = to_palette(Frame((first,)), dither=False)
    two = to_palette(Frame((second,)), one, dither=False)
    assert np.array_equal(colors_of(one)[8:], colors_of(two)[8:])


def test_a_new_scene_gets_a_new_palette() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = np.arange(32) * 8
    blue = red[..., ::-1].copy()
    result = to_palette(Frame((blue,)), to_palette(Frame((red,))), dither=False)
    assert np.array_equal(colors_of(result)[..., :3], blue)
