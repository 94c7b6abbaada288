"""PNG chunks: walk them without decoding pixels, and build files from them (PNG specification, third edition, W3C)."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY = 0  # color type


@dataclass(frozen=True)
class Chunk:
    """Locate one chunk: its data are `length` bytes at offset `at` of the file."""

    kind: bytes
    at: int
    length: int

    def read(self, file: BinaryIO) -> bytes:
        """Return the chunk's data."""
        file.seek(self.at)
        return file.read(self.length)


def walk(file: BinaryIO) -> Iterator[Chunk]:
    """Yield the chunks of a PNG file, up to IEND or the first that is cut off; checksums are not verified."""
    size = file.seek(0, 2)
    at = len(SIGNATURE)
    while at + 12 <= size:
        file.seek(at)
        header = file.read(8)
        chunk = Chunk(header[4:], at + 8, int.from_bytes(header[:4], "big"))
        if chunk.at + chunk.length + 4 > size:
            return
        yield chunk
        if chunk.kind == b"IEND":
            return
        at = chunk.at + chunk.length + 4  # the checksum


def build(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG file of chunks, each a type and its data."""
    return SIGNATURE + b"".join(chunk_bytes(kind, data) for kind, data in chunks)


def chunk_bytes(kind: bytes, data: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def scale_transparency(image: Image.Image, header: bytes) -> None:
    """Scale the transparent value of a gray PNG of 2 or 4 bits, as Pillow does with the samples but not with tRNS.

    `header` is the data of IHDR.
    """
    bits, color_type = header[8:10]
    value = image.info.get("transparency")
    if color_type == _GRAY and bits in (2, 4) and isinstance(value, int):
        image.info["transparency"] = value % 2**bits * (255 // (2**bits - 1))
