"""The damages that pictures have met before they are enlarged: what benchmarks of `--model auto` do to the LR.

Every function takes LR pixels (H, W, 3), 8-bit RGB, and returns what is read again, with what its container tells.
A clip is one picture that moves by a pixel a frame; its middle frame is taken.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import av
import numpy as np
import pillow_heif
from PIL import Image

from esrt_core.evaluation.protocol import Rgb
from esrt_core.evaluation.resample import imresize

FRAMES = 49  # of a clip; the middle one is taken
CODECS = {"h264": "libx264", "hevc": "libx265"}
pillow_heif.register_heif_opener()


@dataclass(frozen=True)
class Damaged:
    """Hold LR pixels as they are read again, the name of their container, and its bits per px."""

    lr: Rgb
    container: str
    bits: float
    quality: int | None = None
    reduced_color: bool = False


Damage = Callable[[Rgb, np.random.Generator], Damaged]


def undamaged(lr: Rgb, random: np.random.Generator) -> Damaged:
    return Damaged(lr, "png", 24.0)


def noisy(sigma: float, lr: Rgb, random: np.random.Generator) -> Damaged:
    """Add Gaussian noise, of its own in every channel for half of the pictures."""
    noise = random.normal(0, sigma, lr.shape)
    if random.random() < 0.5:
        noise = noise[:, :, :1]
    return Damaged(np.asarray((lr + noise).round().clip(0, 255), np.uint8), "png", 24.0)


def saved(format_: str, quality: int, subsampling: str | None, lr: Rgb, random: np.random.Generator) -> Damaged:
    """Save and read again; "mixed" subsampling is 4:4:4 for a third of the pictures, 4:2:0 for the others."""
    if subsampling == "mixed":
        subsampling = "4:4:4" if random.random() < 1 / 3 else "4:2:0"
    file = io.BytesIO()
    chroma = {} if subsampling is None else {"subsampling": subsampling}
    Image.fromarray(lr).save(file, format_, quality=quality, **chroma)
    bits = 8 * len(file.getvalue()) / (lr.shape[0] * lr.shape[1])
    pixels = np.asarray(Image.open(file).convert("RGB"))
    if format_ == "JPEG":
        return Damaged(pixels, "jpeg", bits, quality, subsampling == "4:2:0")
    return Damaged(pixels, format_.lower(), bits)


def noisy_jpeg(sigma: float, quality: int, lr: Rgb, random: np.random.Generator) -> Damaged:
    return saved("JPEG", quality, "4:2:0", noisy(sigma, lr, random).lr, random)


def saved_twice(first: int, second: int, lr: Rgb, random: np.random.Generator) -> Damaged:
    """Save as JPEG, crop so that the grid of blocks is another one, and save again."""
    by = tuple(int(value) for value in random.integers(0, 8, 2))
    once = saved("JPEG", first, "mixed", np.roll(lr, by, (0, 1)), random)
    return saved("JPEG", second, "mixed", np.roll(once.lr, (-by[0], -by[1]), (0, 1)), random)


def filmed(codec: str, rate: int, lr: Rgb, random: np.random.Generator) -> Damaged:
    """Encode a clip of the picture sliding to the left; return the frame in which it is not shifted."""
    file, middle = io.BytesIO(), FRAMES // 2
    height, width = (side - side % 2 for side in lr.shape[:2])
    settings = {"crf": str(rate), "preset": "medium", "x265-params": "log-level=none:pools=1", "threads": "1"}
    with av.open(file, "w", "matroska") as made:
        stream = made.add_stream(CODECS[codec], 25, options=settings)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(FRAMES):
            slid = np.ascontiguousarray(np.roll(lr, middle - index, axis=1)[:height, :width])
            made.mux(stream.encode(av.VideoFrame.from_ndarray(slid, "rgb24")))
        made.mux(stream.encode())
    bits = 8 * len(file.getvalue()) / (FRAMES * width * height)
    file.seek(0)
    with av.open(file, "r") as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    whole = lr.copy()
    whole[:height, :width] = frames[middle]
    return Damaged(whole, codec, bits)


def reduced_jpeg(quality: int, factor: float, lr: Rgb, random: np.random.Generator) -> Damaged:
    """Enlarge by bicubic, save as JPEG, and reduce again: a JPEG that was made smaller afterwards."""
    height, width = lr.shape[:2]
    large = imresize(lr, round(height * factor), round(width * factor))
    return Damaged(imresize(saved("JPEG", quality, "4:2:0", large, random).lr, height, width), "png", 24.0)


def shifted(damaged: Damaged, random: np.random.Generator) -> tuple[int, int]:
    """Return the px that a crop takes from the top and the left, so that an 8 x 8 grid no longer starts at 0."""
    top, left = (int(value) for value in random.integers(1, 8, 2))
    return top, left


def reported() -> Mapping[str, Damage]:
    """Return the damages of the report, by name."""
    jpegs = {f"JPEG {quality}": partial(saved, "JPEG", quality, "4:2:0") for quality in (30, 50, 70, 80, 85, 90, 95)}
    full = {f"JPEG {quality} 4:4:4": partial(saved, "JPEG", quality, "4:4:4") for quality in (75, 92)}
    noise = {f"noise {sigma}": partial(noisy, sigma) for sigma in (2, 4, 8, 12)}
    modern = {
        f"{label} {quality}": partial(saved, format_, quality, None)
        for label, format_, qualities in (
            ("WebP", "WEBP", (50, 80, 95)), ("AVIF", "AVIF", (40, 60, 90)), ("HEIC", "HEIF", (30, 45, 60)),
        )
        for quality in qualities
    }  # fmt: skip
    clips = {f"H.264 crf {rate}": partial(filmed, "h264", rate) for rate in (16, 22, 28)}
    others = {
        "noise 4, JPEG 90": partial(noisy_jpeg, 4, 90),
        "JPEG 60, reduced by 1.5": partial(reduced_jpeg, 60, 1.5),
    }
    return {"undamaged": undamaged, **jpegs, **full, **noise, **modern, **clips, **others}


def drawn(random: np.random.Generator) -> Mapping[str, Damage]:
    """Draw the damages of one picture to fit by: one or more of each kind, of random strength."""

    def between(low: int, high: int) -> int:
        return int(random.integers(low, high + 1))

    jpegs = {f"JPEG {low}": partial(saved, "JPEG", between(low, high), "mixed")
             for low, high in ((25, 55), (56, 79), (80, 91), (92, 98))}  # fmt: skip
    return {
        "undamaged": undamaged,
        **jpegs,
        "faint noise": partial(noisy, float(random.uniform(1, 4))),
        "noise": partial(noisy, float(random.uniform(4, 12))),
        "noise, JPEG": partial(noisy_jpeg, float(random.uniform(1, 8)), between(50, 95)),
        "JPEG twice": partial(saved_twice, between(30, 90), between(60, 97)),
        "WebP": partial(saved, "WEBP", between(40, 97), None),
        "AVIF": partial(saved, "AVIF", between(35, 95), None),
        "HEIC": partial(saved, "HEIF", between(25, 70), None),
        "clip": partial(filmed, "h264" if random.random() < 0.7 else "hevc", between(14, 30)),
        "reduced JPEG": partial(reduced_jpeg, between(30, 90), float(random.uniform(1.2, 2))),
    }
