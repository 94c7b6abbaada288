"""JPEG segments: walk them without decoding, and tell whether every coefficient was announced (ITU-T T.81, Annex B)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

START = b"\xff\xd8"  # SOI
END = b"\xff\xd9"  # EOI
_START_OF_SCAN = 0xDA
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF0 to SOF15 without DHT, JPG and DAC
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # TEM, RST0 to RST7, SOI
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_COEFFICIENTS = 64


@dataclass(frozen=True)
class Segment:
    """Hold one marker, without its 0xFF, and the data after its length."""

    marker: int
    data: bytes


@dataclass(frozen=True)
class FrameHeader:
    """Hold the kind of a frame (SOF0 to SOF15), its bits a sample, and where these stand in the file."""

    marker: int
    bits: int
    at: int

    @property
    def is_progressive(self) -> bool:
        """Whether later scans refine earlier ones."""
        return self.marker in _PROGRESSIVE


def find_frame(read_at: Callable[[int, int], bytes]) -> FrameHeader | None:
    """Return the first frame header of a file, read by offset and length; None if there is none before the scan."""
    at = len(START)
    while len(header := read_at(at, 5)) == 5 and header[0] == 0xFF:
        marker = header[1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            return FrameHeader(marker, header[4], at + 4)
        if marker == _START_OF_SCAN:
            return None
        at += 2 + max(2, int.from_bytes(header[2:4], "big"))
    return None


def segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments of a JPEG, those of every scan too, up to EOI or the first that is cut off."""
    at = 0
    while found := _NEXT_MARKER.search(data, at):
        marker, at = data[found.start() + 1], found.end()
        if marker == END[1]:
            return
        if marker in _STANDALONE:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            return
        yield Segment(marker, data[at + 2 : at + length])
        at += length


def trailer(data: bytes) -> bytes:
    """Return what lies behind the end marker of a JPEG, b"" if there is none."""
    at = 0
    while found := _NEXT_MARKER.search(data, at):
        marker, at = data[found.start() + 1], found.end()
        if marker == END[1]:
            return data[at:]
        if marker not in _STANDALONE:
            at += int.from_bytes(data[at : at + 2], "big")
    return b""


def has_every_scan(data: bytes) -> bool:
    """Return whether the scans announce all coefficients of all components in full precision."""
    missing: dict[int, set[int]] = {}
    progressive = False
    for segment in segments(data):
        if segment.marker in _FRAMES:
            progressive = segment.marker in _PROGRESSIVE
            missing = {component: set(range(_COEFFICIENTS)) for component in segment.data[6::3]}
        elif segment.marker == _START_OF_SCAN and segment.data:
            count = segment.data[0]
            first, last, precision = (segment.data[1 + 2 * count :] + bytes(3))[:3]
            for component in segment.data[1 : 1 + 2 * count : 2]:
                if not progressive:
                    missing.pop(component, None)
                elif precision & 0xF == 0:
                    missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(data) and not any(missing.values())
