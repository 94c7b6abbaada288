"""What a PNG says of its samples, at every depth and in animations."""

import io
import zlib

import pytest

from esrt_core.media.image import png
from tests.media.pictures import read, written


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    file = io.BytesIO(data)
    return {chunk.kind: chunk.read(file) for chunk in png.walk(file)}


DEPTHS: dict[str, tuple[int, int, bytes, bytes, bytes]] = {  # bits, color type, a pixel, background in and out
    "RGB of 16 bits": (16, 2, b"\1\2\3\4\5\6", b"\x12\x34\x56\x78\x9a\xbc", b"\x12\x34\x56\x78\x9a\xbc"),
    "gray of 16 bits": (16, 0, b"\1\2", b"\x12\x34", b"\x12\x34"),
    "gray of 4 bits": (4, 0, b"\x12", b"\0\x0a", b"\0\xaa"),
    "animated RGB of 8 bits": (8, 2, b"\1\2\3", b"\0\x12\0\x56\0\x9a", b"\0\x12\0\x56\0\x9a"),
    "animated RGB of 16 bits": (16, 2, b"\1\2\3\4\5\6", b"\x12\x34\x56\x78\x9a\xbc", b"\0\x12\0\x56\0\x9a"),
    "animated gray of 16 bits": (16, 0, b"\1\2", b"\x12\x34", b"\0\x12\0\x12\0\x12"),
    "animated palette": (8, 3, b"\1", b"\1", b"\0\x0a\0\x14\0\x1e"),
}


@pytest.mark.parametrize("kind", DEPTHS)
def test_background_and_palettes_at_every_depth_and_in_animations(kind: str) -> None:
    bits, color_type, pixel, given, expected = DEPTHS[kind]
    animated = kind.startswith("animated")
    pixels = zlib.compress(b"".join(b"\0" + pixel * 2 for _ in range(2)))
    size = b"\0\0\0\2" * 2 if bits > 4 else b"\0\0\0\4\0\0\0\2"
    control = size + bytes(8) + b"\0\1\0\x0a\0\0"
    data = png.build(
        [
            (b"IHDR", size + bytes([bits, color_type, 0, 0, 0])),
            *([(b"acTL", b"\0\0\0\2" + bytes(4))] if animated else []),
            *([(b"PLTE", bytes([9, 9, 9, 10, 20, 30])), (b"hIST", b"\0\1\0\2")] if color_type != 0 else []),
            (b"bKGD", given),
            *([(b"fcTL", bytes(4) + control)] if animated else []),
            (b"IDAT", pixels),
            *([(b"fcTL", b"\0\0\0\1" + control), (b"fdAT", b"\0\0\0\2" + pixels)] if animated else []),
            (b"IEND", b""),
        ]
    )
    decoded = read(data)
    suggested = [["PLTE"], ["hIST"]] if color_type == 2 else [["hIST"]] if color_type == 3 else []
    assert [note.split()[:1] for note in decoded.notes] == suggested
    result, notes = written(decoded.pages, "png", decoded.metadata)
    found = chunks_of(result)
    assert found[b"bKGD"] == expected
    assert len(expected) == (6 if found[b"IHDR"][9] & 2 else 2)
    assert found[b"IHDR"][8] == (16 if bits == 16 and not animated else 8)
    assert (b"acTL" in found, b"PLTE" in found, b"hIST" in found) == (animated, False, False)
    assert notes == ()
