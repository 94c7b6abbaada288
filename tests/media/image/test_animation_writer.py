"""Frames that are equal stay frames, with their durations, in every format that holds animations."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page, Resolution
from tests.media.pictures import noise, picture, present, read, srgb_profile, written

TIMES = [40.0, 80.0, 120.0, 40.0]
CARRIED = Metadata(
    icc=srgb_profile(), exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0", xmp=b"<x:xmpmeta/>", loop=3, resolution=Resolution(72, 72)
)


def pages(numbers: list[int], alpha: bool = False) -> list[Page]:
    """A page for each number; equal numbers, equal pages."""
    colors = {number: np.roll(np.asarray(picture()), 4 * number, axis=1) for number in numbers}
    hidden = np.where(np.arange(28) < 9, 0, 255).astype(np.uint8)[None].repeat(20, axis=0)
    return [
        Page(Frame((colors[number],), alpha=np.roll(hidden, number, axis=1) if alpha else None), duration_ms=time)
        for number, time in zip(numbers, TIMES, strict=True)
    ]


def shown(data: bytes) -> tuple[list[np.ndarray], list[float]]:
    """The frames and durations by Pillow."""
    image = Image.open(io.BytesIO(data))
    frames = [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]
    times = []
    for number in range(len(frames)):
        image.seek(number)
        image.load()
        times.append(image.info["duration"])
    return frames, times


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("format", ["png", "gif", "webp", "avif"])
def test_an_animation_of_equal_frames_stays_one(format: str, alpha: bool) -> None:
    data, _ = written(pages([0, 0, 0, 0], alpha), format, options=EncodeOptions(lossless=True))
    frames, times = shown(data)
    assert times == TIMES
    assert all(np.abs(frame.astype(int) - frames[0]).max() <= 8 for frame in frames)
    assert read(data).info.pages == 4
    if format in ("png", "webp"):
        first = pages([0, 0, 0, 0], alpha)[0].frame
        visible = frames[0][..., 3] > 0
        assert np.array_equal(frames[0][visible][:, :3], first.planes[0][visible])
        assert not alpha or np.array_equal(frames[0][..., 3], present(first.alpha))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("format", ["png", "gif", "avif"])
@pytest.mark.parametrize("numbers", [[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 0, 0]])
def test_equal_frames_among_others_stay_frames(numbers: list[int], format: str, alpha: bool) -> None:
    frames, times = shown(written(pages(numbers, alpha), format)[0])
    assert times == TIMES
    alone, _ = shown(written(pages([0, 1, 2, 3], alpha), format)[0])
    for number, frame in zip(numbers, frames, strict=True):
        assert np.abs(frame.astype(int) - alone[number])[frame[..., 3] > 0].mean() < 12


@pytest.mark.parametrize("numbers", [[0, 0, 1, 1], [0, 1, 1, 0]])
def test_a_webp_with_equal_frames_lasts_as_long(numbers: list[int]) -> None:
    assert sum(shown(written(pages(numbers), "webp")[0])[1]) == sum(TIMES)


@pytest.mark.parametrize("alpha", [False, True])
def test_an_apng_is_exact_and_stores_what_changes(alpha: bool) -> None:
    still = noise(40, 60, 3)
    moving = []
    for number in range(4):
        color = still.copy()
        color[10:15, 20 + number : 26 + number] = 7 * number
        plane = np.full((40, 60), 255, np.uint8)
        plane[11:14, 21 : 21 + number] = 0
        moving.append(Page(Frame((color,), alpha=plane if alpha else None), duration_ms=TIMES[number]))
    data, notes = written(moving, "png", CARRIED)
    assert notes == ()
    frames, times = shown(data)
    assert times == TIMES
    for frame, page in zip(frames, moving, strict=True):
        assert np.array_equal(frame[..., :3], page.frame.planes[0])
        assert page.frame.alpha is None or np.array_equal(frame[..., 3], page.frame.alpha)
    assert len(data) < 1.6 * still.nbytes
    decoded = read(data)
    assert [np.array_equal(a.frame.planes[0], b.frame.planes[0]) for a, b in zip(decoded.pages, moving, strict=True)]
    assert (decoded.metadata.icc, decoded.metadata.xmp, decoded.metadata.loop) == (CARRIED.icc, CARRIED.xmp, 3)


def test_an_animation_of_equal_frames_keeps_its_metadata_in_webp() -> None:
    data, _ = written(pages([0, 0, 0, 0]), "webp", CARRIED)
    info = Image.open(io.BytesIO(data)).info
    assert (info["loop"], info["icc_profile"], info["xmp"]) == (3, CARRIED.icc, CARRIED.xmp)
    assert info["exif"].removeprefix(b"Exif\0\0") == CARRIED.exif


def test_plays_and_times_of_a_gif_with_equal_frames() -> None:
    data, _ = written(pages([0, 0, 1, 1]), "gif", Metadata(loop=3))
    assert Image.open(io.BytesIO(data)).info["loop"] == 2
    assert read(data).metadata.loop == 3
