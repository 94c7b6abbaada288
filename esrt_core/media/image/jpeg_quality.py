"""Estimate the quality of a JPEG from its quantization tables."""

from collections.abc import Mapping, Sequence

from PIL import Image

# Table K.1 of ITU-T T.81, Annex K.1, https://www.w3.org/Graphics/JPEG/itu-t81.pdf. Encoders scale it by their quality.
LUMINANCE_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def quality_of(image: Image.Image) -> int | None:
    """Return the quality of a JPEG opened by Pillow, 1 to 100 on libjpeg's scale; None for other images."""
    tables: Mapping[int, Sequence[int]] | None = getattr(image, "quantization", None)
    return quality_of_table(tables[0]) if tables and 0 in tables else None


def quality_of_table(luminance: Sequence[int]) -> int:
    """Return the quality, 1 to 100, whose luminance table has the sum nearest to this one's.

    The order of the 64 values does not matter. A table that is not libjpeg's, such as a camera's, gets the quality that
    quantizes as much on average.
    """
    total = sum(luminance)
    return 1 + min(range(100), key=lambda index: abs(_SUMS[index] - total))


def scaled_table(quality: int) -> tuple[tuple[int, ...], ...]:
    """Return libjpeg's luminance table at a quality (jcparam.c: jpeg_quality_scaling, jpeg_add_quant_table)."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(tuple(min(max((value * percent + 50) // 100, 1), 255) for value in row) for row in LUMINANCE_TABLE)


_SUMS = [sum(map(sum, scaled_table(quality))) for quality in range(1, 101)]
