"""Read the binary side data that comes with frames, as ffmpeg's public structures lay it out."""

import struct
from fractions import Fraction

from esrt_core.media.clip import Mastering


def turn_of(matrix: bytes | None) -> tuple[int, bool]:
    """Return the counter-clockwise degrees of a display matrix, and whether it does more than turn by right angles."""
    if matrix is None:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    turns = {(1, 0, 0, 1): 0, (0, -1, 1, 0): 90, (-1, 0, 0, -1): 180, (0, 1, -1, 0): 270}
    signs = tuple((value > 0) - (value < 0) for value in (a, b, c, d))
    return (turns[signs], False) if signs in turns else (0, True)


def mastering_of(data: bytes | None) -> Mastering | None:
    """Return the display of an HDR clip from AVMasteringDisplayMetadata, or None where it is not all there."""
    if data is None:
        return None
    numbers = struct.unpack("=22i", data[:88])
    ratios = [Fraction(top, bottom or 1) for top, bottom in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    if not (numbers[20] and numbers[21]):
        return None
    points = [round(ratio * 50000) for ratio in ratios[:8]]
    primaries = tuple(zip(points[::2], points[1::2], strict=True))
    return Mastering(primaries, (round(ratios[8] * 10000), round(ratios[9] * 10000)))


def light_of(data: bytes | None) -> tuple[int, int] | None:
    """Return the most and the average light of AVContentLightMetadata, in cd/m2."""
    if data is None:
        return None
    most, average = struct.unpack("=2I", data[:8])
    return most, average
