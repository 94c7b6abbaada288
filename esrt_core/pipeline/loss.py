"""What a file's compression has taken: the rule by which `--model auto` chooses its weights.

The figures behind the rule are in benchmarks/auto.md.
"""

from PIL import Image

from esrt_core.media.clip import ClipInfo
from esrt_core.media.formats import AVIF, HEIF, WEBP
from esrt_core.media.jpeg_quality import has_reduced_colour, quality_of
from esrt_core.media.picture import ImageInfo

# From these on the clean weights come closer to the truth.
GOOD_QUALITY = 93  # of a JPEG, by its tables
GOOD_REDUCED_QUALITY = 95  # of one whose colour has less than full resolution
GOOD_PICTURE_BITS = {WEBP: 2.9, AVIF: 1.9, HEIF: 2.0}  # a px, since these files do not say their quality
GOOD_CLIP_BITS = 0.30  # a px and frame, sound included
GOOD_MODERN_BITS = 0.12  # of a codec that needs less

MODERN = ("av1", "hevc", "vp9")

KEPT_WHOLE = (
    "dnxhd", "ffv1", "ffvhuff", "hqx", "huffyuv", "magicyuv", "png", "prores", "qtrle", "rawvideo", "utvideo", "v210",
)  # fmt: skip


def loss_of_picture(info: ImageInfo) -> str | None:
    """Say what compression took from a picture, None where that is too little for another choice of weights."""
    if info.quality is not None:
        return _loss_of_jpeg(info.quality, info.reduced_colour)
    if info.lossless is True or info.format not in GOOD_PICTURE_BITS:
        return None
    bits = 8 * info.byte_size / (info.width * info.height * info.pages)
    return _loss_of_bits(info.format.label, bits, GOOD_PICTURE_BITS[info.format])


def loss_of_image(image: Image.Image) -> str | None:
    """Say the same of a Pillow image, which knows its JPEG's tables as long as it is the one that was opened."""
    quality = quality_of(image)
    return None if quality is None else _loss_of_jpeg(quality, has_reduced_colour(image))


def loss_of_clip(clip: ClipInfo) -> str | None:
    """Say the same of a clip, by its codec and its bits a pixel."""
    video = clip.video
    if video.codec in KEPT_WHOLE:
        return None
    pixels = video.width * video.height * video.timing.frames
    good = GOOD_MODERN_BITS if video.codec in MODERN else GOOD_CLIP_BITS
    return _loss_of_bits(video.codec, 8 * clip.size / max(pixels, 1), good)


def _loss_of_jpeg(quality: int, reduced_colour: bool) -> str | None:
    good = GOOD_REDUCED_QUALITY if reduced_colour else GOOD_QUALITY
    return f"JPEG of quality {quality}" if quality < good else None


def _loss_of_bits(kind: str, bits: float, good: float) -> str | None:
    return f"{kind} of {bits:.2g} bits a pixel" if bits < good else None
