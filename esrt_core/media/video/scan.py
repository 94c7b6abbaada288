"""Read all packets of a clip's picture once, without decoding them: times, damage, and what changes on the way."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from esrt_core.media.video.captions import CEA_608, SEARCHED, captions_of_packet
from esrt_core.media.video.encryption import is_protected


@dataclass
class Scan:
    """Collect the ticks of the frames with their durations, and damaged packets.

    packets   packets that contain a frame; `byte_size` is that of all of them.
    slots     decoding times of the packets; in AVI they count frames, and empty ones are left out.
    restart_packets  numbers of the packets at which the clock restarts, as in joined recordings.
    order     ticks of the packets in the order of the file.
    corrupt   numbers of the packets that the container marks as damaged.
    changes   numbers of the key frames at which the size or pixel shape of the picture changes.
    captions  kinds of closed captions.
    """

    ticks: dict[int, int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    is_encrypted: bool = False
    packets: int = 0
    byte_size: int = 0
    slots: list[int] = field(default_factory=list)
    restart_packets: list[int] = field(default_factory=list)
    order: list[int | None] = field(default_factory=list)
    corrupt: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    captions: frozenset[str] = frozenset()

    @property
    def suspects(self) -> list[int]:
        """Numbers of the packets marked as damaged, without the seams of joined recordings, which always are."""
        seams = {number for restart in self.restart_packets for number in range(restart - 2, restart + 1)}
        return [number for number in self.corrupt if number not in seams]

    @property
    def restarts(self) -> bool:
        """Whether the clock restarts."""
        return bool(self.restart_packets)

    @property
    def count(self) -> int:
        """The number of frames to expect."""
        return len(self.ticks) or self.packets

    def add(self, packet: Any) -> None:
        """Record a packet; one without a time is a second field, or a frame of AVI or a raw stream."""
        self.packets += 1
        self.byte_size += packet.size
        self.order.append(packet.dts if packet.pts is None else packet.pts)
        if packet.pts is not None:
            self.ticks.setdefault(packet.pts, packet.duration or 0)
        if packet.dts is not None:
            self.slots.append(packet.dts)

    def missing_slots(self) -> tuple[int, ...]:
        """Return the slots of the frames of AVI if some are left empty, else nothing."""
        rising = all(before < after for before, after in itertools.pairwise(self.slots))
        if len(self.slots) != self.packets or not rising:
            return ()
        return tuple(self.slots) if self.slots[-1] - self.slots[0] + 1 != self.packets or self.slots[0] else ()


def scan_packets(container: Any, stream: Any) -> Scan:
    """Read all packets of a stream until the file ends or cannot be read any further."""
    scan = Scan(is_encrypted=is_protected(stream))
    extradata = bytes(stream.codec_context.extradata or b"")
    header, shapes = b"", dict[bytes, tuple[int, int, Fraction] | None]()
    jumps = bool(container.format.flags & av.format.Flags.ts_discont.value)
    backward, forward = (round(seconds / stream.time_base) for seconds in (_BACKWARD, _FORWARD))
    for packet in _packets(container, stream, scan):
        if not packet.size or packet.is_discard:
            continue
        scan.is_encrypted |= any(str(data.data_type).startswith("encryption") for data in packet.iter_sidedata())
        if CEA_608 not in scan.captions:
            scan.captions |= captions_of_packet(bytes(memoryview(packet)[:SEARCHED]))
        before = scan.slots[-1] if scan.slots else None
        scan.add(packet)
        restarts = (
            jumps and before is not None and packet.dts is not None
            and not -backward <= packet.dts - before <= forward
        )  # fmt: skip
        if restarts:
            scan.restart_packets.append(scan.packets - 1)
        if packet.is_corrupt:
            scan.corrupt.append(scan.packets - 1)
        extradata = _new_extradata(packet) or extradata
        found = _picture_header(packet) or extradata if packet.is_keyframe else b""
        if found and found not in shapes:
            shapes[found] = _shape(stream, packet, extradata)
        if found and header and shapes[found] and shapes[header] and shapes[found] != shapes[header]:
            scan.changes.append(scan.packets - 1)
        header = found or header
    return scan


def _new_extradata(packet: Any) -> bytes:
    """Return the description of the picture from this packet on, of MP4 with several sample entries; else nothing."""
    found = (bytes(data) for data in packet.iter_sidedata() if str(data.data_type) == "new_extradata")
    return next(found, b"")


def _shape(stream: Any, packet: Any, extradata: bytes) -> tuple[int, int, Fraction] | None:
    """Return width and height in px and the sample aspect ratio of a key frame, None if it cannot be decoded alone."""
    try:
        decoder = av.CodecContext.create(stream.codec_context.name, "r")
        decoder.extradata = extradata or None
        frame = next(iter([*decoder.decode(av.Packet(bytes(packet))), *decoder.decode(None)]), None)
    except av.error.FFmpegError:
        return None
    return frame and (frame.width, frame.height, Fraction(decoder.sample_aspect_ratio or 1))


_HEADERS = (
    re.compile(rb"\x00\x00\x01\xb3(.{4})", re.DOTALL),  # MPEG-2 sequence header: size, aspect, rate
    re.compile(rb"\x00\x00\x01[\x27\x47\x67](.+?)\x00\x00[\x00\x01]", re.DOTALL),  # H.264 sequence parameter set
    re.compile(rb"\x00\x00\x01\x42\x01(.+?)\x00\x00[\x00\x01]", re.DOTALL),  # HEVC sequence parameter set
)
_HEADER_BYTES = 512


def _picture_header(packet: Any) -> bytes:
    """Return the header that describes the picture, of a key frame in a stream that repeats it, as broadcasts do."""
    data = bytes(memoryview(packet)[:_HEADER_BYTES])
    found = next((match for pattern in _HEADERS if (match := pattern.search(data))), None)
    return found[1] if found else b""


_BACKWARD = Fraction(1, 10)  # seconds, both as ffmpeg detects a clock that restarts
_FORWARD = Fraction(10)


def _packets(container: Any, stream: Any, scan: Scan) -> Iterator[Any]:
    try:
        yield from container.demux(stream)
    except (av.error.FFmpegError, OSError) as error:
        last = max(scan.ticks, default=None)
        scan.damage.append(f"the file cannot be read beyond {_clock(last, stream)} ({error.strerror})")


def _clock(tick: int | None, stream: Any) -> str:
    if tick is None:
        return "an unknown time"
    start = Fraction(stream.container.start_time or 0, av.time_base)
    return f"{float(tick * stream.time_base - start):.2f} s"
