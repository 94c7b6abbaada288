"""Compose the frames of APNG and GIF by the rules of their formats.

Pillow's own compositing leaves holes where a translucent APNG frame lies over an opaque canvas, restores too late for
"dispose to previous", fills GIF areas that browsers leave transparent with a color, and grows the canvas. So Pillow
decodes each frame from a file of its own, and the frames are put together here.

APNG: PNG specification, third edition, W3C, section 6. GIF: GIF89a specification, and what browsers do: the canvas
starts transparent, "restore to background" clears to transparent, and frames are cropped to the logical screen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.media.image import png

_INTERLACED = 0x40

Rgba = NDArray[np.uint8]  # (H, W, 4), straight alpha


class Dispose(Enum):
    """Name what happens to a frame's area after its display."""

    NONE = 0
    BACKGROUND = 1
    PREVIOUS = 2


@dataclass(frozen=True)
class RawFrame:
    """Hold where a frame lies on the canvas, in px, how it is drawn, and its compressed parts in the file.

    `parts` are (offset, length) in bytes; `palette` is a GIF's (N, 3) colors, `transparent` its transparent index.
    """

    left: int
    top: int
    width: int
    height: int
    duration_ms: float
    dispose: Dispose
    over: bool
    parts: tuple[tuple[int, int], ...]
    head: bytes = b""
    palette: NDArray[np.uint8] | None = None
    transparent: int | None = None


@dataclass(frozen=True)
class Animation:
    """Describe an animation: its canvas in px, its frames, and whether any pixel can be transparent.

    `common` are the chunks that every frame of an APNG needs. `default_left_out` is whether an APNG has a default image
    that is not part of the animation. `missing` is how many frames it announces but does not hold, and `is_whole`
    whether it has its end all the same; `plays` how many times an APNG plays, 0 for endlessly.
    """

    width: int
    height: int
    frames: tuple[RawFrame, ...]
    has_alpha: bool
    common: tuple[tuple[bytes, bytes], ...] = ()
    default_left_out: bool = False
    missing: int = 0
    is_whole: bool = True
    plays: int = 0

    def covers(self, frame: RawFrame) -> bool:
        """Return whether a frame covers the whole canvas."""
        return not (frame.left or frame.top) and frame.width >= self.width and frame.height >= self.height


@dataclass
class _ApngChunks:
    """Collect the chunks of an APNG; `announced` are its acTL chunks, `parts` the pixels of each control chunk."""

    common: list[tuple[bytes, bytes]] = field(default_factory=list)
    announced: list[bytes] = field(default_factory=list)
    controls: list[bytes] = field(default_factory=list)
    parts: list[list[tuple[int, int]]] = field(default_factory=list)
    default_left_out: bool = False
    is_announced_late: bool = False
    is_whole: bool = False

    def add(self, chunk: png.Chunk, file: BinaryIO) -> None:
        """Take the next chunk of the file."""
        if chunk.kind in (b"IHDR", b"PLTE", b"tRNS"):
            self.common.append((chunk.kind, chunk.read(file)))
        elif chunk.kind == b"acTL":
            self.announced.append(chunk.read(file))
            self.is_announced_late |= self.default_left_out or any(self.parts)
        elif chunk.kind == b"fcTL" and chunk.length == 26:
            self.controls.append(chunk.read(file))
            self.parts.append([])
        elif chunk.kind == b"IDAT" and self.controls:
            self.parts[-1].append((chunk.at, chunk.length))
        elif chunk.kind == b"fdAT" and self.controls:
            self.parts[-1].append((chunk.at + 4, chunk.length - 4))  # after the sequence number
        self.default_left_out |= chunk.kind == b"IDAT" and not self.controls
        self.is_whole |= chunk.kind == b"IEND"


def parse_apng(file: BinaryIO) -> Animation | None:
    """Return the animation of a PNG file, from its chunks; None if it has none, or one that viewers do not play.

    They do not if it is announced twice, or behind the first pixels.
    """
    found = _ApngChunks()
    for chunk in png.walk(file):
        found.add(chunk, file)
    held = [(control, tuple(parts)) for control, parts in zip(found.controls, found.parts, strict=True)]
    if found.is_whole:
        held = [(control, parts) for control, parts in held if parts]
    if len(found.announced) != 1 or found.is_announced_late or not held or not found.common:
        return None
    count, plays = (int.from_bytes(found.announced[0][at : at + 4], "big") for at in (0, 4))
    if not count:
        return None
    header = found.common[0][1]
    frames = tuple(_apng_frame(*frame) for frame in held)[:count]
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    common, missing = tuple(found.common), max(count - len(frames), 0)
    animation = Animation(width, height, frames, True, common, found.default_left_out, missing, found.is_whole, plays)
    opaque = header[9] in (0, 2, 3) and all(kind != b"tRNS" for kind, _ in common)
    cleared = any(frame.dispose is not Dispose.NONE for frame in frames[:-1]) or not animation.covers(frames[0])
    return animation if cleared or not opaque else replace(animation, has_alpha=False)


def parse_gif(file: BinaryIO) -> Animation | None:
    """Return the frames of a GIF file, from its blocks, up to the first that is cut off; None if there are none."""
    data = _Blocks(file)
    screen = data.take(13)
    width, height = int.from_bytes(screen[6:8], "little"), int.from_bytes(screen[8:10], "little")
    common = data.colors(screen[10]) if len(screen) == 13 else None
    frames: list[RawFrame] = []
    control = b"\0\0\0\0"
    while (kind := data.take(1)) in (b"!", b","):
        if kind == b"!":
            if data.take(1) == b"\xf9":  # graphic control
                control = (data.take(int.from_bytes(data.take(1))) + bytes(4))[:4]
            data.skip_blocks()
            continue
        frame = _gif_frame(data, control, common, height)
        if frame is None:
            break
        frames.append(frame)
        control = b"\0\0\0\0"
    if not frames:
        return None
    if not (width and height):
        width, height = frames[0].left + frames[0].width, frames[0].top + frames[0].height
    animation = Animation(width, height, tuple(frames), True)
    cleared = any(frame.transparent is not None or frame.dispose is not Dispose.NONE for frame in frames[:-1])
    holes = cleared or frames[-1].transparent is not None or not animation.covers(frames[0])
    return animation if holes else replace(animation, has_alpha=False)


def compose(animation: Animation, file: BinaryIO, decode: Callable[[bytes, RawFrame], Rgba]) -> Iterator[Rgba]:
    """Yield the canvas as it is displayed with each frame, (H, W, 4); the caller may keep it.

    `decode` returns the pixels of a frame, (H, W, 4), from a file that holds it alone (see `standalone`).
    """
    canvas = np.zeros((animation.height, animation.width, 4), np.uint8)
    for number, frame in enumerate(animation.frames):
        area = canvas[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
        before = area.copy() if frame.dispose is Dispose.PREVIOUS and number else np.zeros_like(area)
        if area.size:
            pixels = decode(standalone(animation, frame, file), frame)[: area.shape[0], : area.shape[1]]
            area[...] = _over(pixels, area) if frame.over else pixels
        yield canvas.copy()
        if frame.dispose is not Dispose.NONE:
            area[...] = before


def standalone(animation: Animation, frame: RawFrame, file: BinaryIO) -> bytes:
    """Return a PNG or GIF file with one frame alone; a GIF has a gray palette, so that its pixels are the indices."""
    compressed = b"".join(_read(file, at, length) for at, length in frame.parts)
    if frame.palette is not None:
        return frame.head + compressed + b";"
    header = animation.common[0][1]
    size = frame.width.to_bytes(4, "big") + frame.height.to_bytes(4, "big")
    chunks = [(b"IHDR", size + header[8:]), *animation.common[1:], (b"IDAT", compressed), (b"IEND", b"")]
    return png.build(chunks)


def to_rgba(image: Image.Image, data: bytes, frame: RawFrame) -> Rgba:
    """Return the pixels of a frame's own file, opened by Pillow and decoded, with the transparency of the frame."""
    if frame.palette is not None:
        indices = np.asarray(image)
        alpha = np.where(indices == frame.transparent, np.uint8(0), np.uint8(255))
        return np.concatenate([frame.palette[indices], alpha[..., None]], axis=2)
    png.scale_transparency(image, data[16:29])
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("RGBA"))
    wide = np.asarray(image)  # gray of 16 bits
    gray = (wide >> 8).astype(np.uint8)
    alpha = np.where(wide == image.info.get("transparency", -1), np.uint8(0), np.uint8(255))
    return np.dstack([gray, gray, gray, alpha])


class _Blocks:
    """Read the blocks of a GIF file in order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end of the file."""
        return self._file.read(count)

    def colors(self, flags: int) -> NDArray[np.uint8] | None:
        """Return the color table that the flags of a screen or image descriptor announce, (N, 3), or None."""
        if not flags & 0x80:
            return None
        table = self.take(3 << ((flags & 7) + 1))
        return np.frombuffer(table[: len(table) // 3 * 3], np.uint8).reshape(-1, 3)

    def skip_blocks(self) -> tuple[int, int] | None:
        """Skip data sub-blocks; return their (offset, length) with the terminator, or None if they are cut off."""
        start = self._file.tell()
        while length := self.take(1):
            if length == b"\0":
                return start, self._file.tell() - start
            self._file.seek(length[0], 1)
        return None


def _gif_frame(data: _Blocks, control: bytes, common: NDArray[np.uint8] | None, screen_height: int) -> RawFrame | None:
    """Return the frame of an image descriptor; rows below the screen are left out unless they are interlaced."""
    descriptor = data.take(9)
    if len(descriptor) < 9:
        return None
    left, top, width, height = (int.from_bytes(descriptor[at : at + 2], "little") for at in (0, 2, 4, 6))
    flags = descriptor[8]
    colors = data.colors(flags)
    if colors is None:
        colors = common
    code_size = data.take(1)
    compressed = data.skip_blocks()
    if compressed is None:
        return None
    if screen_height and not flags & _INTERLACED:
        height = min(height, max(screen_height - top, 1))
    palette = np.zeros((256, 3), np.uint8)
    if colors is not None:
        palette[: len(colors)] = colors
    sides = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    gray = bytes(value for value in range(256) for _ in range(3))  # Pillow then gives the indices as they are
    screen = b"GIF89a" + sides + b"\xf7\0\0" + gray
    head = screen + b"," + bytes(4) + sides + bytes([flags & _INTERLACED]) + code_size
    dispose = {2: Dispose.BACKGROUND, 3: Dispose.PREVIOUS}.get(control[0] >> 2 & 7, Dispose.NONE)
    duration = int.from_bytes(control[1:3], "little") * 10.0
    transparent = control[3] if control[0] & 1 else None
    return RawFrame(left, top, width, height, duration, dispose, True, (compressed,), head, palette, transparent)


def _apng_frame(control: bytes, parts: tuple[tuple[int, int], ...]) -> RawFrame:
    """Return the frame of an fcTL chunk."""
    width, height, left, top = (int.from_bytes(control[at : at + 4], "big") for at in (4, 8, 12, 16))
    delay, per_second = int.from_bytes(control[20:22], "big"), int.from_bytes(control[22:24], "big") or 100
    dispose = {1: Dispose.BACKGROUND, 2: Dispose.PREVIOUS}.get(control[24], Dispose.NONE)
    return RawFrame(left, top, width, height, 1000 * delay / per_second, dispose, control[25] == 1, parts)


def _over(source: Rgba, behind: Rgba) -> Rgba:
    """Return straight-alpha source over background, rounded (Porter and Duff 1984)."""
    source_alpha = source[..., 3:].astype(np.float32) / 255
    covered = behind[..., 3:].astype(np.float32) / 255 * (1 - source_alpha)
    alpha = source_alpha + covered
    color = source[..., :3] * source_alpha + behind[..., :3] * covered
    color = np.divide(color, alpha, out=np.zeros_like(color), where=alpha > 0)
    return np.asarray(np.rint(np.concatenate([color, alpha * 255], axis=2)), np.uint8)


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)
