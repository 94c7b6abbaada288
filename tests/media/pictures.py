"""Small generated pictures."""

import io
import struct
import subprocess
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import imagecodecs
import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageCms, ImageDraw

from esrt_core.media.frame import Frame
from esrt_core.media.image.decode import decode
from esrt_core.media.image.encode import encode
from esrt_core.media.image.picture import EncodeOptions, Metadata, Page, Picture, ReadLimits, RemoteFile, Source

LIMITS = ReadLimits()
T = TypeVar("T")


def present(value: T | None) -> T:
    assert value is not None
    return value


def noise(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def picture(mode: str = "RGB", size: tuple[int, int] = (28, 20)) -> Image.Image:
    """Color patches of 4 px in a Pillow mode."""
    patches = Image.fromarray(np.kron(noise(size[1] // 4, size[0] // 4, 3), np.ones((4, 4, 1), np.uint8)))
    return patches if mode == "RGB" else patches.convert(mode)


def saved(image: Image.Image, format: str, **parameters: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **parameters)
    return file.getvalue()


def read(source: Source, limits: ReadLimits = LIMITS) -> Picture:
    return decode(source, limits)


def first(source: Source, limits: ReadLimits = LIMITS) -> Page:
    return next(iter(decode(source, limits).pages))


def written(
    pages: Any, format: str, metadata: Metadata | None = None, options: EncodeOptions | None = None
) -> tuple[bytes, tuple[str, ...]]:
    file = io.BytesIO()
    notes = encode(pages, file, format, metadata or Metadata(), options or EncodeOptions())
    return file.getvalue(), notes


def frame_of(data: bytes, format: str) -> Frame:
    """Read a file by its name too, without which TGA is not known."""
    return first(RemoteFile(f"a.{format}", lambda: io.BytesIO(data))).frame


def ffmpeg_frames(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read a file with another program: (N, H, W, 4) RGBA, uint8."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "fatal", "-i", str(path), "-fps_mode", "passthrough"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgba", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, *shape, 4)


def reopened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@lru_cache(maxsize=1)  # a profile holds the time at which it was made
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def gray_profile() -> bytes:
    """An sRGB profile that claims to be gray: only the header is looked at."""
    profile = bytearray(srgb_profile())
    profile[16:20] = b"GRAY"
    return bytes(profile)


def balls(count: int, *, alpha: bool) -> list[Image.Image]:
    """Frames of a ball that moves; it stands still in the fourth frame."""
    frames = []
    for number in range(count):
        step = 2 if number == 3 else number
        frame = Image.new("RGBA", (60, 40), (0, 0, 0, 0) if alpha else (20, 60, 90, 255))
        ImageDraw.Draw(frame).ellipse((5 + 6 * step, 5, 25 + 6 * step, 30), fill=(255, 40 * step, 0, 255))
        frames.append(frame if alpha else frame.convert("RGB"))
    return frames


def psd_file(samples: np.ndarray, compression: int) -> bytes:
    """A Photoshop file of 16 bits without layers: raw (0), PackBits (1), deflated (2) or deflated differences (3)."""
    planes = np.moveaxis(samples, -1, 0) if samples.ndim == 3 else samples[None]
    count, height, width = planes.shape
    rows = planes.reshape(-1, width)
    if compression == 3:
        rows = np.diff(rows, axis=1, prepend=np.zeros((len(rows), 1), np.uint16))
    stored = [row.astype(">u2").tobytes() for row in rows]
    if compression == 1:
        stored = [bytes(imagecodecs.packbits_encode(row)) for row in stored]
        stored.insert(0, np.array([len(row) for row in stored], ">u2").tobytes())
    data = zlib.compress(b"".join(stored)) if compression > 1 else b"".join(stored)
    mode = 1 if samples.ndim == 2 else 3
    header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", count, height, width, 16, mode)
    return header + bytes(12) + struct.pack(">H", compression) + data


def run_length_sgi() -> bytes:
    """A gray SGI image of 16 bits, 4 x 2 px, run-length encoded: 7 7 7 9 below 1 2 3 4."""
    header = struct.pack(">hbbHHHHll", 474, 1, 2, 2, 4, 2, 1, 0, 65535).ljust(512, b"\0")
    lower = struct.pack(">HHHHH", 3, 7, 0x81, 9, 0)
    upper = struct.pack(">HHHHHH", 0x84, 1, 2, 3, 4, 0)
    start = 512 + 16
    table = struct.pack(">4I", start, start + len(lower), len(lower), len(upper))
    return header + table + lower + upper


def animation(format: str, durations: list[int], *, alpha: bool, **parameters: Any) -> bytes:
    frames = balls(len(durations), alpha=alpha)
    return saved(frames[0], format, save_all=True, append_images=frames[1:], duration=durations, **parameters)
