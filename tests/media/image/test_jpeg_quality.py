"""The quality of a JPEG, by its tables."""

from io import BytesIO

import pytest
from PIL import Image

from esrt_core.media.image.decode import probe
from esrt_core.media.image.jpeg_quality import quality_of, quality_of_table
from esrt_core.media.image.picture import ReadLimits


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    file = BytesIO()
    Image.new(mode, (16, 16), 90).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("quality", [5, 10, 25, 49, 50, 51, 75, 90, 95, 100])
def test_libjpegs_qualities_are_recovered(quality: int) -> None:
    assert quality_of(Image.open(BytesIO(jpeg(quality=quality)))) == quality


def test_gray_and_progressive_files_have_tables_too() -> None:
    assert quality_of(Image.open(BytesIO(jpeg("L", quality=80, progressive=True)))) == 80


def test_the_extremes_stay_in_range() -> None:
    assert quality_of_table([1] * 64) == 100
    assert quality_of_table([65535] * 64) == 1


def test_other_formats_have_none() -> None:
    assert quality_of(Image.new("RGB", (4, 4))) is None
    file = BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    assert probe(file.getvalue(), ReadLimits()).quality is None


def test_a_description_has_it() -> None:
    assert probe(jpeg(quality=70), ReadLimits()).quality == 70
