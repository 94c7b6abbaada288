"""Chunks of a WebP file: walk them, find those that Pillow does not read, and add them to a file that it wrote.

https://developers.google.com/speed/webp/docs/riff_container: writers should keep unknown chunks, which need VP8X.
"""

from collections.abc import Callable, Iterator

ReadAt = Callable[[int, int], bytes]  # offset, length
Chunk = tuple[bytes, bytes]  # kind, content
FLAGS = {b"ICCP": 0x20, b"ALPH": 0x10, b"EXIF": 0x08, b"XMP ": 0x04}  # of VP8X
EXTENDED, CREDENTIALS = b"VP8X", b"C2PA"
_KNOWN = (EXTENDED, b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP ")
_MOST_BYTES = 1 << 26  # of a chunk that is carried


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a file."""
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def further_chunks(read_at: ReadAt, byte_size: int) -> list[Chunk]:
    """Return the chunks that describe neither pixels nor their color, nor are EXIF or XMP, up to the first cut off."""
    found, at = [], 12
    while len(header := read_at(at, 8)) == 8:
        kind, length = header[:4], int.from_bytes(header[4:], "little")
        if at + 8 + length > byte_size:
            break
        if kind not in _KNOWN and length <= _MOST_BYTES:
            found.append((kind, read_at(at + 8, length)))
        at += 8 + length + length % 2
    return found


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk with its length and padding."""
    return kind + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def file_of(parts: list[bytes]) -> bytes:
    """Return a file of whole chunks."""
    content = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(content).to_bytes(4, "little") + content


def extended(flags: int, size: tuple[int, int]) -> bytes:
    """Return the chunk VP8X of a file of (width, height) px."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    return chunk(EXTENDED, bytes([flags, 0, 0, 0]) + sides)


def with_chunks(data: bytes, size: tuple[int, int], more: tuple[Chunk, ...]) -> bytes:
    """Return a file of (width, height) px with further chunks at its end."""
    held = list(chunks(data))
    parts = [chunk(kind, content) for kind, content in (*held, *more)]
    if held[0][0] != EXTENDED:
        kind, content = held[0]
        has_alpha = kind == b"VP8L" and content[4] & 0x10
        parts.insert(0, extended(FLAGS[b"ALPH"] if has_alpha else 0, size))
    return file_of(parts)
