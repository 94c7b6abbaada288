from pathlib import Path

import pytest

from esrt_core.errors import OptionError
from esrt_core.media.extensions import VIDEO_EXTENSIONS
from esrt_core.media.video import ffmpeg
from esrt_core.media.video.clip import OtherStream, PixelLayout
from esrt_core.media.video.codecs import CODECS, choose_pixels
from esrt_core.media.video.containers import CONTAINERS, container_of, lost_streams, subtitle_codec


def test_every_codec_can_be_made_here() -> None:
    assert {codec.software.name for codec in CODECS.values()} <= ffmpeg.encoders()


def test_every_container_names_known_codecs() -> None:
    assert {name for container in CONTAINERS.values() for name in container.codecs} <= CODECS.keys()


@pytest.mark.parametrize(
    ("codec", "layout", "size", "pixels"),
    [
        ("h264", PixelLayout("420"), (64, 48), "yuv420p"),
        ("h264", PixelLayout("420", 10), (64, 48), "yuv420p10le"),
        ("h264", PixelLayout("422", 12), (64, 48), "yuv422p10le"),
        ("h264", PixelLayout("420"), (65, 48), "yuv444p"),
        ("h264", PixelLayout("gray"), (64, 48), "yuv420p"),
        ("av1", PixelLayout("444", 10), (65, 47), "yuv420p10le"),
        ("vp9", PixelLayout("444", 8, alpha=True), (64, 48), "yuva420p"),
        ("prores", PixelLayout("420"), (64, 48), "yuv422p10le"),
        ("prores", PixelLayout("444", 12, alpha=True), (64, 48), "yuva444p10le"),
        ("ffv1", PixelLayout("gray", 10), (65, 47), "gray10le"),
    ],
)
def test_the_pixel_format_keeps_most(codec: str, layout: PixelLayout, size: tuple[int, int], pixels: str) -> None:
    chosen = CODECS[codec]
    assert choose_pixels(layout, chosen.software, chosen.even_chroma, *size) == pixels


def test_a_kind_of_encoder_that_a_codec_lacks_is_refused() -> None:
    with pytest.raises(OptionError, match="--encoder nvenc does not support ffv1; use one of: auto, software"):
        CODECS["ffv1"].encoder_of("nvenc")


def test_containers_say_what_they_cannot_hold() -> None:
    streams = (
        OtherStream(1, "audio", "aac"),
        OtherStream(2, "subtitle", "hdmv_pgs_subtitle"),
        OtherStream(3, "subtitle", "subrip"),
        OtherStream(4, "attachment", "ttf"),
    )
    assert [stream.index for stream in lost_streams(CONTAINERS[".mp4"], streams)] == [2, 4]
    assert lost_streams(CONTAINERS[".mkv"], streams) == ()
    assert subtitle_codec(CONTAINERS[".mp4"], "subrip") == "mov_text"
    assert subtitle_codec(CONTAINERS[".mkv"], "mov_text") == "subrip"


def test_avi_is_not_written() -> None:
    assert container_of(Path("old.AVI")) is None
    assert container_of(Path("new.MP4")) is CONTAINERS[".mp4"]


def test_containers_that_are_written_are_found_in_folders() -> None:
    assert CONTAINERS.keys() <= VIDEO_EXTENSIONS
