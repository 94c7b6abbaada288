"""What a file's compression has taken: the rule by which `--model auto` chooses its weights.

The figures behind the rule are in benchmarks/auto.md.
"""

from PIL import Image

from esrt_core.media.clip import ClipInfo
from esrt_core.media.formats import AVIF, HEIF, WEBP
from esrt_core.media.jpeg_quality import quality_of
from esrt_core.media.picture import ImageInfo

KEPT_WHOLE = (
    "dnxhd", "ffv1", "ffvhuff", "hqx", "huffyuv", "magicyuv", "png", "prores", "qtrle", "rawvideo", "utvideo", "v210",
)  # fmt: skip
GOOD_BITS = 0.5  # a px and frame of a clip, sound included: as above
GOOD_QUALITY = 93  # of a JPEG: from here on the clean weights come closer to the truth


def loss_of_picture(info: ImageInfo) -> str | None:
    """Say what compression took from a picture, None where that is too little for another choice of weights."""
    if info.quality is not None:
        return _loss_of_jpeg(info.quality)
    if info.lossless is not True and info.format in (AVIF, HEIF, WEBP):
        return f"lossy {info.format.label}"
    return None


def loss_of_image(image: Image.Image) -> str | None:
    """Say the same of a Pillow image, which knows its JPEG's tables as long as it is the one that was opened."""
    quality = quality_of(image)
    return None if quality is None else _loss_of_jpeg(quality)


def loss_of_clip(clip: ClipInfo) -> str | None:
    """Say the same of a clip, by its codec and its bits per pixel."""
    video = clip.video
    if video.codec in KEPT_WHOLE:
        return None
    bits = 8 * clip.size / max(video.width * video.height * video.timing.frames, 1)
    return f"{video.codec} of {bits:.2g} bits a pixel" if bits < GOOD_BITS else None


def _loss_of_jpeg(quality: int) -> str | None:
    return f"JPEG of quality {quality}" if quality < GOOD_QUALITY else None
