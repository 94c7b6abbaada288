"""What a file's compression has taken."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from esrt_core.media.clip_probe import probe_clip
from esrt_core.media.image import probe
from esrt_core.media.picture import ReadLimits
from esrt_core.pipeline.loss import (
    GOOD_CLIP_BITS,
    GOOD_PICTURE_BITS,
    GOOD_QUALITY,
    GOOD_REDUCED_QUALITY,
    loss_of_clip,
    loss_of_image,
    loss_of_picture,
)
from tests.pipeline.clips import make, picture, x264


def saved(format_: str, **options: object) -> bytes:
    file = BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((40, 30)).save(file, format_, **options)
    return file.getvalue()


def loss(content: bytes) -> str | None:
    return loss_of_picture(probe(content, ReadLimits()))


@pytest.mark.parametrize(
    ("subsampling", "good"), [("4:4:4", GOOD_QUALITY), ("4:2:2", GOOD_REDUCED_QUALITY), ("4:2:0", GOOD_REDUCED_QUALITY)]
)
def test_a_jpeg_is_judged_by_its_tables_and_its_colour(subsampling: str, good: int) -> None:
    assert loss(saved("JPEG", quality=60, subsampling=subsampling)) == "JPEG of quality 60"
    assert loss(saved("JPEG", quality=good - 1, subsampling=subsampling)) is not None
    assert loss(saved("JPEG", quality=good, subsampling=subsampling)) is None
    image = Image.open(BytesIO(saved("JPEG", quality=94, subsampling=subsampling)))
    assert (loss_of_image(image) is None) == (good == GOOD_QUALITY)


@pytest.mark.parametrize("format_", ["WEBP", "AVIF"])
def test_lossy_formats_of_today_are_judged_by_their_bits(format_: str) -> None:
    info = probe(saved(format_, quality=70), ReadLimits())
    pixels = info.width * info.height
    good = GOOD_PICTURE_BITS[info.format]
    assert loss_of_picture(replace(info, byte_size=pixels // 8)) == f"{info.format.label} of 1 bits a pixel"
    assert loss_of_picture(replace(info, byte_size=round(1.01 * good * pixels / 8))) is None


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP", "GIF"])
def test_lossless_formats_do_not(format_: str) -> None:
    assert loss(saved(format_)) is None


def test_lossless_webp_does_not() -> None:
    assert loss(saved("WEBP", lossless=True)) is None


def test_a_pillow_image_knows_its_tables_until_it_is_changed() -> None:
    image = Image.open(BytesIO(saved("JPEG", quality=50)))
    assert loss_of_image(image) == "JPEG of quality 50"
    assert loss_of_image(image.resize((10, 10))) is None
    assert loss_of_image(Image.open(BytesIO(saved("PNG")))) is None


def test_a_clip_is_judged_by_its_codec_and_its_bits(tmp_path: Path) -> None:
    clip = probe_clip(make(tmp_path / "a.mkv", *picture(), *x264()))
    frame = clip.video.width * clip.video.height * clip.video.timing.frames / 8
    assert loss_of_clip(replace(clip, size=round(0.15 * frame))) == "h264 of 0.15 bits a pixel"
    assert loss_of_clip(replace(clip, size=round(1.01 * GOOD_CLIP_BITS * frame))) is None
    modern = replace(clip, size=round(0.5 * GOOD_CLIP_BITS * frame), video=replace(clip.video, codec="hevc"))
    assert loss_of_clip(modern) is None
    whole = replace(clip, size=1, video=replace(clip.video, codec="prores"))
    assert loss_of_clip(whole) is None
