"""Pillow images to Frames and back."""

from dataclasses import dataclass

from PIL import Image

from esrt_core.errors import MediaError
from esrt_core.media.frame import Frame
from esrt_core.media.modes import layout_of, read_page
from esrt_core.media.picture import ValueRange
from esrt_core.media.samples import restore
from esrt_core.pipeline.arrays import array_of_frame

KEPT_INFO = ("dpi", "exif", "xmp", "icc_profile")


@dataclass(frozen=True)
class PillowPicture:
    """Hold a Pillow image's pixels, and what its larger copy takes over: info and the range of float values."""

    frame: Frame
    info: dict[str, object]
    value_range: ValueRange | None


def frame_of_image(image: Image.Image) -> PillowPicture:
    """Take the current frame of an image, in any of Pillow's modes. Raise MediaError where its data is damaged.

    The EXIF orientation is not applied: pixels and tag stay as they are.
    """
    if 0 in image.size:
        raise MediaError(f"an image of {image.width} x {image.height} px has no pixels")
    icc = image.info.get("icc_profile")
    try:
        page = read_page(image, layout_of(image, icc), icc)
    except (OSError, SyntaxError, ValueError) as error:
        raise MediaError(f"the image cannot be decoded: {error}") from error
    kept = {name: image.info[name] for name in KEPT_INFO if name in image.info}
    if image.mode in ("CMYK", "LAB"):
        kept.pop("icc_profile", None)  # the pixels are sRGB now
    return PillowPicture(page.frame, kept, page.value_range)


def image_of_frame(frame: Frame, like: PillowPicture) -> Image.Image:
    """Return a frame as an image: L, LA, RGB, RGBA, I;16 or F, with the info of the picture that it came from."""
    pixels = array_of_frame(frame, dimensions=2)
    if like.value_range is not None:
        pixels = restore(pixels, like.value_range)
    image = Image.fromarray(pixels)
    image.info.update(like.info)
    return image
