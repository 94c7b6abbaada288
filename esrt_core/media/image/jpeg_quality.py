"""How a JPEG was saved: its quality, estimated from its quantization tables, and the resolution of its color."""

from collections.abc import Mapping, Sequence

from PIL import Image, JpegImagePlugin

# Luminance, ITU-T T.81 table K.1, by natural order of the coefficients; encoders scale it by their quality.
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


def _scaled_sum(quality: int) -> int:
    """Return the sum of libjpeg's table at a quality (jcparam.c: jpeg_quality_scaling, jpeg_add_quant_table)."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(max((value * percent + 50) // 100, 1), 255) for value in _LUMINANCE)


_SUMS = [_scaled_sum(quality) for quality in range(1, 101)]


def quality_of(image: Image.Image) -> int | None:
    """Return the quality, 1 to 100 on libjpeg's scale, of a JPEG that Pillow has opened; None for anything else."""
    tables: Mapping[int, Sequence[int]] | None = getattr(image, "quantization", None)
    return quality_of_table(tables[0]) if tables and 0 in tables else None


def has_reduced_color(image: Image.Image) -> bool:
    """Say whether a picture is a JPEG whose color has half the width, or half of both sides (4:2:2, 4:2:0)."""
    return isinstance(image, JpegImagePlugin.JpegImageFile) and JpegImagePlugin.get_sampling(image) in (1, 2)


def quality_of_table(luminance: Sequence[int]) -> int:
    """Return the quality whose table sums up to as much as this one, or nearly; the order of the values is no matter.

    Tables of another shape, such as those of cameras, get the quality that takes as much on average.
    """
    total = sum(luminance)
    return 1 + min(range(100), key=lambda index: abs(_SUMS[index] - total))
