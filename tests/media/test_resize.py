"""Other bit depths, rounded exactly."""

import numpy as np
import pytest
from PIL import Image

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.resize import enlarge_bicubic, resize_frame, with_depth


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pillow_with_mirrored_border(plane: np.ndarray, out_h: int, out_w: int) -> np.ndarray:
    """Pillow has the same kernel but no border rule of MATLAB's: pad by the picture itself and cut the middle out."""
    height, width = plane.shape
    padded = np.pad(plane, ((height, height), (width, width)), mode="symmetric")
    resized = Image.fromarray(padded.astype(np.float32)).resize((3 * out_w, 3 * out_h), Image.Resampling.BICUBIC)
    return np.asarray(resized)[out_h : 2 * out_h, out_w : 2 * out_w]


@pytest.mark.parametrize(
    ("dtype", "depth", "tolerance"), [(np.uint8, 8, 1.5 / 255), (np.uint16, 10, 0.51 / 1023), (np.float32, 32, 1e-6)]
)
def test_resize_frame_is_lanczos_at_every_depth(dtype: type[np.generic], depth: int, tolerance: float) -> None:
    picture = 0.3 + 0.4 * noise(40, 30, 3) / 255.0  # Pillow clips 8 bits between the two directions
    peak = 1 if depth == 32 else 2**depth - 1
    stored = (picture * peak).astype(dtype)
    resized = resize_frame(Frame((stored,), depth=depth), 17, 23)
    channel = Image.fromarray(stored[..., 2].astype(np.float32))
    expected = np.clip(np.asarray(channel.resize((17, 23), Image.Resampling.LANCZOS)), 0, peak)
    assert resized.depth == depth
    assert resized.planes[0].shape == (23, 17, 3)
    np.testing.assert_allclose(resized.planes[0][..., 2] / peak, expected / peak, atol=tolerance)


def test_resize_frame_keeps_chroma_subsampled() -> None:
    frame = Frame((noise(37, 51), noise(19, 26), noise(19, 26)), ColorSpace.YUV, full_range=False)
    resized = resize_frame(frame, 101, 75)
    assert [plane.shape for plane in resized.planes] == [(75, 101), (38, 51), (38, 51)]
    assert not resized.full_range


def test_resize_frame_lets_no_hidden_color_into_the_picture() -> None:
    color = np.zeros((32, 32, 3), np.uint8)
    color[:, :16] = (200, 40, 40)
    color[:, 16:] = (0, 255, 0)  # under transparent pixels
    alpha = np.zeros((32, 32), np.uint8)
    alpha[:, :16] = 255
    resized = resize_frame(Frame((color,), alpha=alpha), 15, 15)
    assert resized.alpha is not None
    seen = resized.planes[0][resized.alpha > 8].astype(int)
    assert len(seen)
    assert np.abs(seen - (200, 40, 40)).max() <= 6


def test_resize_frame_gives_transparent_regions_their_own_color() -> None:
    color = np.full((16, 16), 90, np.uint8)
    resized = resize_frame(Frame((color,), ColorSpace.GRAY, alpha=np.zeros((16, 16), np.uint8)), 8, 8)
    assert np.all(resized.planes[0] == 90)
    assert resized.alpha is not None
    assert not resized.alpha.any()


def test_enlarge_bicubic_is_pillows() -> None:
    picture = noise(9, 13, 3)
    expected = np.asarray(Image.fromarray(picture).resize((26, 18), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(enlarge_bicubic(Frame((picture,)), 26, 18).planes[0], expected)


def gray(values: list[int], depth: int) -> Frame:
    plane = np.array([values], np.uint8 if depth == 8 else np.uint16)
    return Frame((plane,), ColorSpace.GRAY, depth, alpha=plane.copy())


def test_eight_bits_go_to_sixteen_and_back_unchanged() -> None:
    frame = gray(list(range(256)), 8)
    wide = with_depth(frame, 16)
    assert wide.planes[0][0, [0, 1, 255]].tolist() == [0, 257, 65535]
    back = with_depth(wide, 8)
    assert (back.planes[0] == frame.planes[0]).all()
    assert back.alpha is not None
    assert (back.alpha == frame.planes[0]).all()


def test_sixteen_bits_are_rounded_to_the_nearest() -> None:
    values = list(range(0, 65536, 7))
    expected = [int(value / 257 + 0.5) for value in values]
    assert with_depth(gray(values, 16), 8).planes[0][0].tolist() == expected


@pytest.mark.parametrize("depth", [9, 10, 12, 16])
def test_full_scale_stays_full_scale(depth: int) -> None:
    assert with_depth(gray([0, 255], 8), depth).planes[0].tolist() == [[0, 2**depth - 1]]


def test_float_stays_float() -> None:
    frame = Frame((np.zeros((2, 2), np.float32),), ColorSpace.GRAY, 32)
    assert with_depth(frame, 16) is frame


@pytest.mark.parametrize("full_range", [False, True])
def test_a_deeper_yuv_frame_has_the_same_colors(full_range: bool) -> None:
    """Black, white and gray of a depth are 16, 235 and 128 times a power of two in studio range (ITU-T H.273)."""
    luma = np.array([[0, 255], [128, 255]] if full_range else [[16, 235], [126, 235]], np.uint8)
    chroma = np.array([[128, 240], [16, 129]], np.uint8)
    frame = Frame((luma, chroma, chroma), ColorSpace.YUV, full_range=full_range)
    deep = with_depth(frame, 16)
    factor = 257 if full_range else 256
    assert deep.planes[0].tolist() == (luma.astype(int) * factor).tolist()
    assert deep.planes[1].tolist() == ((chroma.astype(int) - 128) * factor + 32768).tolist()
    back = with_depth(deep, 8)
    assert all(np.array_equal(one, other) for one, other in zip(back.planes, frame.planes, strict=True))


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("size", [(30, 24), (31, 23), (90, 50)])
def test_resized_chroma_stays_where_the_luma_is(full_range: bool, size: tuple[int, int]) -> None:
    """A ramp in all planes: chroma is on the left luma sample in studio range and midway in full range."""
    left = 0.0 if full_range else -0.5

    def ramp(columns: int, rows: int, factor: float, chroma: bool) -> np.ndarray:
        step = 2 if chroma else 1
        across = (np.arange(columns) * step + step / 2 + (left if chroma else 0)) / factor
        return np.tile(across * 400 + 2000, (rows, 1)).round().astype(np.uint16)

    planes = (ramp(40, 32, 1, False), ramp(20, 16, 1, True), ramp(20, 16, 1, True))
    resized = resize_frame(Frame(planes, ColorSpace.YUV, 16, full_range=full_range), *size)
    expected = ramp((size[0] + 1) // 2, (size[1] + 1) // 2, size[0] / 40, True)
    assert resized.planes[1].shape == expected.shape
    margin = max(4, size[0] // 10)  # there the kernel sees the repeated border
    inner = slice(margin, -margin)
    off = np.abs(resized.planes[1][:, inner].astype(int) - expected[:, inner])
    assert off.max() <= 20  # 0.05 px: Lanczos does not keep a ramp exactly
