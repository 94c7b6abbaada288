"""Animations whose frames must be composed by the rules of their format; the files are put together here."""

import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from esrt_core.errors import MediaError
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.decode import probe
from esrt_core.media.image.picture import Page, ReadLimits, Source
from esrt_core.media.image.png import build
from tests.media.pictures import LIMITS, animation, ffmpeg_frames, present, read, written

NONE, BACKGROUND, PREVIOUS = 0, 1, 2  # of fcTL
RED, HALF_BLUE, CLEAR = (255, 0, 0, 255), (0, 0, 255, 128), (0, 0, 0, 0)
MIX = (127, 0, 128, 255)  # half of blue over red
PALETTE = [(0, 255, 0), (255, 0, 0), (0, 0, 255), (9, 9, 9)]


# pixels, left, top, dispose, blend
ApngFrame = tuple[np.ndarray, int, int, int, int]
# indices, left, top, disposal, transparent index
GifFrame = tuple[np.ndarray, int, int, int, int | None]


def solid(color: tuple[int, ...], width: int, height: int) -> np.ndarray:
    return np.full((height, width, len(color)), color, np.uint8)


def pixel_data(pixels: np.ndarray) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def apng(frames: list[ApngFrame], size: tuple[int, int] = (8, 6), default: np.ndarray | None = None) -> bytes:
    """Frames are (pixels, left, top, dispose, blend); `default` is an image outside the animation."""
    width, height = size
    color_type = {3: 2, 4: 6}[frames[0][0].shape[2]]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, color_type, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"acTL", len(frames).to_bytes(4, "big") + bytes(4))]
    if default is not None:
        chunks.append((b"IDAT", pixel_data(default)))
    sequence = 0
    for number, (pixels, left, top, dispose, blend) in enumerate(frames):
        sides = (sequence, pixels.shape[1], pixels.shape[0], left, top)
        control = b"".join(side.to_bytes(4, "big") for side in sides) + b"\0\4\0\x64" + bytes([dispose, blend])
        chunks.append((b"fcTL", control))
        sequence += 1
        if number == 0 and default is None:
            chunks.append((b"IDAT", pixel_data(pixels)))
        else:
            chunks.append((b"fdAT", sequence.to_bytes(4, "big") + pixel_data(pixels)))
            sequence += 1
    return build([*chunks, (b"IEND", b"")])


def gif(frames: list[GifFrame], screen: tuple[int, int] = (8, 6)) -> bytes:
    """Frames are (indices, left, top, disposal, transparent index or None), with PALETTE."""
    table = bytes(value for color in PALETTE for value in color) + bytes(3 * 124)
    data = b"GIF89a" + b"".join(side.to_bytes(2, "little") for side in screen) + b"\xf6\0\0" + table
    for indices, left, top, disposal, transparent in frames:
        flags = disposal << 2 | (transparent is not None)
        data += b"!\xf9\4" + bytes([flags, 4, 0, transparent or 0]) + b"\0"
        sides = (left, top, indices.shape[1], indices.shape[0])
        data += b"," + b"".join(side.to_bytes(2, "little") for side in sides) + b"\0\7"
        codes = b"".join(b"\x80" + indices.tobytes()[at : at + 100] for at in range(0, indices.size, 100)) + b"\x81"
        data += b"".join(bytes([len(codes[at : at + 200])]) + codes[at : at + 200] for at in range(0, len(codes), 200))
        data += b"\0"
    return data + b";"


def indices(value: int, width: int, height: int) -> np.ndarray:
    return np.full((height, width), value, np.uint8)


def rgba(page: Page) -> np.ndarray:
    frame = page.frame
    color = frame.planes[0] if frame.space is ColorSpace.RGB else np.repeat(frame.planes[0][..., None], 3, axis=2)
    alpha = np.full(color.shape[:2], 255, np.uint8) if frame.alpha is None else frame.alpha
    return np.dstack([color, alpha])


def shown(data: Source) -> list[np.ndarray]:
    return [rgba(page) for page in read(data).pages]


def test_a_translucent_apng_frame_over_an_opaque_canvas_stays_opaque() -> None:
    canvas, sprite = solid(RED, 8, 6), solid(HALF_BLUE, 3, 2)
    frames = shown(apng([(canvas, 0, 0, NONE, 0), (sprite, 2, 1, NONE, 1)]))
    assert (frames[1][1:3, 2:5] == MIX).all()
    frames[1][1:3, 2:5] = RED
    assert (frames[1] == RED).all()


def test_a_source_frame_replaces_what_is_behind_it() -> None:
    frames = shown(apng([(solid(RED, 8, 6), 0, 0, NONE, 0), (solid(HALF_BLUE, 3, 2), 2, 1, NONE, 0)]))
    assert (frames[1][1:3, 2:5] == HALF_BLUE).all()


@pytest.mark.parametrize(("dispose", "after"), [(NONE, MIX), (BACKGROUND, CLEAR), (PREVIOUS, RED)])
def test_apng_disposal(dispose: int, after: tuple[int, ...]) -> None:
    sprite, corner = (solid(HALF_BLUE, 3, 2), 2, 1, dispose, 1), (solid(RED, 1, 1), 0, 0, NONE, 0)
    frames = shown(apng([(solid(RED, 8, 6), 0, 0, NONE, 0), sprite, corner]))
    assert (frames[1][1:3, 2:5] == MIX).all()
    assert (frames[2][1:3, 2:5] == after).all()


def test_an_opaque_apng_that_is_never_cleared_has_no_alpha() -> None:
    canvas, sprite = solid(RED[:3], 8, 6), solid((0, 0, 255), 3, 2)
    assert not probe(apng([(canvas, 0, 0, NONE, 0), (sprite, 2, 1, NONE, 1)]), LIMITS).has_alpha
    assert probe(apng([(canvas, 0, 0, BACKGROUND, 0), (sprite, 2, 1, NONE, 1)]), LIMITS).has_alpha


def test_a_default_image_outside_the_animation_is_left_out_and_noted() -> None:
    data = apng([(solid((0, 255, 0, 255), 8, 6), 0, 0, NONE, 0)], default=solid(RED, 8, 6))
    decoded = read(data)
    assert decoded.notes == ("the default image, for viewers without animation, is left out",)
    assert not decoded.info.animated
    [page] = decoded.pages
    assert page.duration_ms is None
    assert (rgba(page) == (0, 255, 0, 255)).all()


def test_missing_apng_frames_are_damage() -> None:
    whole = apng([(solid(RED, 8, 6), 0, 0, NONE, 0), (solid(HALF_BLUE, 3, 2), 2, 1, NONE, 1)])
    cut = whole[: whole.rindex(b"fcTL") - 4]
    with pytest.raises(MediaError, match="1 frames are missing"):
        shown(cut)
    kept = read(cut, ReadLimits(allow_truncated=True))
    assert kept.info.pages == 1
    assert kept.notes[0].startswith("the file is truncated or damaged")


def recounted(data: bytes, count: int) -> bytes:
    """Return an APNG that announces `count` frames; nothing here verifies the checksum of that chunk."""
    at = data.index(b"acTL") + 4
    return data[:at] + count.to_bytes(4, "big") + data[at + 4 :]


@pytest.mark.parametrize("announced", [3, 4_294_967_295])
def test_frames_that_a_whole_apng_lacks_are_noted(announced: int) -> None:
    whole = apng([(solid(RED, 8, 6), 0, 0, NONE, 0), (solid(HALF_BLUE, 3, 2), 2, 1, NONE, 1)])
    decoded = read(recounted(whole, announced))
    assert decoded.info.pages == len(list(decoded.pages)) == 2
    assert decoded.notes == (f"{announced - 2:,} frames are announced but not in the file",)


def test_billions_of_announced_frames_cost_no_memory() -> None:
    whole = apng([(solid(RED, 8, 6), 0, 0, NONE, 0), (solid(HALF_BLUE, 3, 2), 2, 1, NONE, 1)])
    cut = recounted(whole, 4_294_967_295)[: whole.rindex(b"fcTL") - 4]
    with pytest.raises(MediaError, match="4,294,967,294 frames are missing"):
        shown(cut)


def test_a_frame_without_data_is_left_out() -> None:
    pixels = solid(RED, 8, 6)
    whole = apng([(pixels, 0, 0, NONE, 0), (solid(HALF_BLUE, 3, 2), 2, 1, NONE, 1)])
    start = whole.index(b"fdAT") - 4
    decoded = read(whole[:start] + whole[whole.index(b"IEND") - 4 :])
    assert not decoded.info.animated
    assert (rgba(next(iter(decoded.pages))) == RED).all()


@pytest.mark.parametrize("at", ["twice", "behind the pixels"])
def test_an_animation_that_is_announced_wrongly_is_a_still_image(at: str) -> None:
    frame = (solid((0, 255, 0, 255), 8, 6), 0, 0, NONE, 0)
    whole = apng([frame, frame], default=solid(RED, 8, 6))
    start = whole.index(b"acTL") - 4
    announcement, after = whole[start : start + 20], whole.index(b"fcTL") - 4
    if at == "twice":
        data = whole[:start] + announcement + whole[start:]
    else:
        data = whole[:start] + whole[start + 20 : after] + announcement + whole[after:]
    decoded = read(data)
    assert not decoded.info.animated
    assert (rgba(next(iter(decoded.pages))) == RED).all()


def test_the_depth_that_a_deep_animation_loses_is_noted() -> None:
    pixels = np.full((6, 8, 6), 200, np.uint8)  # two bytes a sample
    control = b"".join(side.to_bytes(4, "big") for side in (0, 8, 6, 0, 0)) + b"\0\4\0\x64\0\0"
    later = (1).to_bytes(4, "big") + control[4:]
    header = (8).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    stills = [(b"fcTL", control), (b"IDAT", pixel_data(pixels))]
    stills += [(b"fcTL", later), (b"fdAT", (2).to_bytes(4, "big") + pixel_data(pixels))]
    data = build([(b"IHDR", header), (b"acTL", bytes([0, 0, 0, 2, 0, 0, 0, 0])), *stills, (b"IEND", b"")])
    decoded = read(data)
    assert (decoded.info.depth, decoded.notes) == (8, ("16 bits reduced to 8",))
    assert [rgba(page)[0, 0].tolist() for page in decoded.pages] == [[200, 200, 200, 255]] * 2


def test_the_depth_that_an_animated_avif_loses_is_noted() -> None:
    frames = np.random.default_rng(3).integers(0, 1024, (3, 16, 24, 3)).astype(np.uint16)
    decoded = read(bytes(imagecodecs.avif_encode(frames, bitspersample=10, level=90)))
    assert (decoded.info.pages, decoded.info.depth, decoded.notes) == (3, 8, ("10 bits reduced to 8",))


def test_apng_is_composed_as_by_ffmpeg(tmp_path: Path) -> None:
    source = np.random.default_rng(3)
    frames = [(source.integers(0, 256, (6, 8, 4), np.uint8), 0, 0, NONE, 0)]
    frames += [(source.integers(0, 256, (3, 4, 4), np.uint8), at % 4, at % 3, at % 3, at % 2) for at in range(5)]
    path = tmp_path / "a.png"
    path.write_bytes(apng(frames))
    ours, theirs = np.array(shown(path)), ffmpeg_frames(path, (6, 8))
    visible = (ours[..., 3] > 0) & (theirs[..., 3] > 0)
    difference = np.abs(ours.astype(int) - theirs)
    assert difference[..., 3].max() <= 1
    assert difference[visible].max() <= 2  # ffmpeg rounds the products one by one


def test_a_gif_screen_starts_transparent() -> None:
    first, whole, dot = (
        (indices(0, 3, 2), 1, 1, 1, None),
        (indices(1, 8, 6), 0, 0, 2, 3),
        (indices(2, 1, 1), 7, 5, 1, 3),
    )
    frames = shown(gif([first, whole, dot]))
    assert (frames[0][1:3, 1:4] == (0, 255, 0, 255)).all()
    assert np.count_nonzero(frames[0][..., 3]) == 6
    assert (frames[1] == RED).all()
    assert (frames[2][5, 7] == (0, 0, 255, 255)).all()
    assert np.count_nonzero(frames[2][..., 3]) == 1


def test_gif_restores_what_was_there() -> None:
    frames = shown(
        gif([(indices(0, 8, 6), 0, 0, 1, None), (indices(1, 3, 2), 2, 2, 3, None), (indices(2, 1, 1), 0, 0, 1, None)])
    )
    assert (frames[1][2:4, 2:5] == RED).all()
    assert (frames[2][2:4, 2:5] == (0, 255, 0, 255)).all()


def test_gif_frames_are_cropped_to_the_screen() -> None:
    wide = np.arange(600, dtype=np.uint8).reshape(1, 600) % 4
    data = gif([(indices(0, 8, 6), 0, 0, 1, None), (np.repeat(wide, 9, axis=0), 5, 2, 1, None)])
    decoded = read(data)
    assert (decoded.info.width, decoded.info.height, decoded.info.has_alpha) == (8, 6, False)
    last = [rgba(page) for page in decoded.pages][1]
    assert last.shape == (6, 8, 4)
    assert (last[2:, 5:, :3] == [PALETTE[0], PALETTE[1], PALETTE[2]]).all()
    assert (last[:2, :, :3] == PALETTE[0]).all()


def test_the_claimed_size_of_a_gif_frame_is_limited_before_it_is_decoded() -> None:
    data = bytearray(gif([(indices(0, 8, 6), 0, 0, 1, None), (indices(1, 8, 6), 0, 0, 1, None)]))
    at = data.rindex(b",\0\0\0\0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(MediaError, match="65535 x 6 = 393,210 px, above --max-pixels"):
        list(read(bytes(data), ReadLimits(max_pixels=100_000)).pages)


def test_one_small_gif_frame_is_laid_on_its_screen() -> None:
    [page] = read(gif([(indices(1, 3, 2), 2, 2, 0, None)])).pages
    assert page.duration_ms is None
    assert np.count_nonzero(present(page.frame.alpha)) == 6


@pytest.mark.parametrize("format", ["gif", "png"])
def test_written_animations_look_the_same_in_ffmpeg(format: str, tmp_path: Path) -> None:
    pages = []
    for number in range(4):
        alpha = np.full((12, 16), 255, np.uint8)
        alpha[number : number + 3] = 0 if number != 2 else 255
        color = np.full((12, 16, 3), (0, 80 * number, 200), np.uint8)
        pages.append(Page(Frame((color,), alpha=alpha if number != 2 else None), duration_ms=40.0))
    path = tmp_path / f"a.{format}"
    path.write_bytes(written(pages, format)[0])
    seen = ffmpeg_frames(path, (12, 16))
    assert len(seen) == 4
    for page, frame in zip(pages, seen, strict=True):
        expected = rgba(page)
        assert (frame[..., 3] == expected[..., 3]).all()
        assert np.abs(frame.astype(int) - expected)[expected[..., 3] > 0].max() <= 2


def test_every_frame_of_a_gif_with_transparency_has_a_transparent_index() -> None:
    clear = Frame((np.zeros((6, 8, 3), np.uint8),), alpha=np.zeros((6, 8), np.uint8))
    solid_frame = Frame((np.full((6, 8, 3), 200, np.uint8),))
    data = written([Page(each, duration_ms=40.0) for each in (clear, solid_frame, clear)], "gif")[0]
    controls = [data[at + 3] for at in range(len(data)) if data[at : at + 3] == b"!\xf9\4"]
    assert len(controls) == 3
    assert all(flags & 1 for flags in controls)


def test_animations_of_pillow_are_read_as_before() -> None:
    for format in ("GIF", "PNG"):
        decoded = read(animation(format, [40, 80, 120], alpha=True, loop=0))
        assert [page.duration_ms for page in decoded.pages] == [40, 80, 120]
