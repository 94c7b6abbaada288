"""The chain of a TIFF's directories, whose end a damaged file may tie to its beginning. TIFF 6.0 section 2; BigTIFF."""

from collections.abc import Callable
from typing import Literal

ReadAt = Callable[[int, int], bytes]  # offset, length


def cut_of_loop(read_at: ReadAt, byte_size: int) -> tuple[int, bytes] | None:
    """Return (offset, bytes) that end a chain of directories which comes back to an earlier one; None if it ends."""
    head = read_at(0, 16)
    order: Literal["little", "big"] = "little" if head.startswith(b"I") else "big"
    big = head[2:4] in (b"+\0", b"\0+")
    count_size, entry_size, offset_size = (8, 20, 8) if big else (2, 12, 4)
    pointer_at = 8 if big else 4
    seen: set[int] = set()
    while True:
        at = int.from_bytes(read_at(pointer_at, offset_size), order)
        if at in seen:
            return pointer_at, bytes(offset_size)
        if not 0 < at < byte_size:
            return None
        seen.add(at)
        pointer_at = at + count_size + entry_size * int.from_bytes(read_at(at, count_size), order)
