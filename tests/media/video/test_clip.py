import numpy as np
import pytest

from esrt_core.media.frame import ColorSpace
from esrt_core.media.video.clip import PixelLayout, frame_bytes, parse_layout
from esrt_core.media.video.probe import carried_layout


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p10le", "yuv444p12le", "yuva444p10le", "gray", "gray10le", "yuva420p", "yuv444p16le"]
)
def test_a_layout_has_the_name_that_it_was_read_from(name: str) -> None:
    layout = parse_layout(name)
    assert layout is not None
    assert layout.name == name


def test_other_formats_have_no_layout() -> None:
    assert parse_layout("nv12") is None
    assert parse_layout("rgb24") is None


@pytest.mark.parametrize(
    ("pixels", "layout"),
    [
        ("nv12", PixelLayout("420")),
        ("p010le", PixelLayout("420", 10)),
        ("yuyv422", PixelLayout("422")),
        ("yuv411p", PixelLayout("422")),
        ("yuv440p", PixelLayout("444")),
        ("gbrp", PixelLayout("444")),
        ("gbrp10le", PixelLayout("444", 10)),
        ("rgba", PixelLayout("444", 8, alpha=True)),
        ("rgb48le", PixelLayout("444", 12)),
        ("yuvj420p", PixelLayout("420")),
    ],
)
def test_every_format_is_carried_without_losing_samples(pixels: str, layout: PixelLayout) -> None:
    assert carried_layout(pixels) == layout


@pytest.mark.parametrize("layout", [PixelLayout("420"), PixelLayout("422", 10), PixelLayout("444", 8, alpha=True)])
def test_bytes_become_a_frame_and_bytes_again(layout: PixelLayout) -> None:
    data = np.random.default_rng(0).integers(0, 256, layout.byte_size(5, 3), np.uint8)
    frame = layout.frame(data, 5, 3, "bt709", full_range=False)
    assert (frame.width, frame.height, frame.space) == (5, 3, ColorSpace.YUV)
    assert (frame.alpha is not None) == layout.alpha
    assert frame_bytes(frame) == data.tobytes()


def test_odd_sides_round_chroma_up() -> None:
    assert PixelLayout("420").shapes(5, 3) == ((3, 5), (2, 3), (2, 3))
