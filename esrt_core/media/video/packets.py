"""The packets of the picture with the times that the result has, also if the clock of the clip restarts."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from esrt_core.media.video.clip import ClipInfo
from esrt_core.media.video.ffmpeg import LOCAL_ONLY, file_url, open_clip, output_of

_NO_TICK = -(2**63)  # AV_NOPTS_VALUE


def read_all_streams(number: int) -> list[str]:
    """Return an output that discards all sound and pictures of an input, so that ffmpeg reads them.

    It closes the gaps of a clock that restarts by the first packet after the gap, of whatever stream: all commands that
    read a clip must read the same streams.
    """
    drop = "noise=drop=1"
    return ["-map", f"{number}:v?", "-map", f"{number}:a?", "-c", "copy", "-bsf", drop, "-f", "null", "-"]


def closed_up_packets(path: Path, container: str, index: int) -> list[tuple[int | None, int]]:
    """Return tick (None if it has none) and duration of a stream's packets after ffmpeg has closed the clock's gaps."""
    text = output_of(
        [*LOCAL_ONLY, "-f", container, "-i", file_url(path), "-map", f"0:{index}", "-c", "copy", "-copyinkf",
         "-f", "framecrc", "pipe:1", *read_all_streams(0)]
    )  # fmt: skip
    rows = [line.split(",") for line in text.splitlines() if line[:1].isdigit()]
    return [(None if int(row[2]) == _NO_TICK else int(row[2]), int(row[3])) for row in rows]


def has_packet(clip: ClipInfo, index: int, begin: Fraction, end: Fraction) -> bool:
    """Return whether a stream has a packet between two times in seconds; one without a time is at any time."""
    with open_clip(clip.path) as container:
        packets = container.demux(container.streams[index])
        while (packet := _next(packets)) is not None:
            if packet.size and (packet.pts is None or begin <= packet.pts * packet.time_base < end):
                return True
    return False


@dataclass(frozen=True)
class DecodedPacket:
    """Hold the tick of a packet and the frames that the decoder returned after it, each with its tick.

    Ticks are those of the clip's container; if its clock restarts, those after ffmpeg has closed the gaps.
    """

    tick: int | None
    frames: tuple[tuple[int | None, Any], ...]


def decoded_packets(clip: ClipInfo) -> Iterator[DecodedPacket]:
    """Yield the packets of the picture until the file ends or cannot be read any further; an error yields no frame."""
    closed: list[int | None] = []
    if clip.restarts:
        closed = [tick for tick, _ in closed_up_packets(clip.path, clip.container, clip.video.index)]
    shown: dict[int, int] = {}  # ticks by the time in the file, which may occur again after a restart
    with open_clip(clip.path) as container:
        packets = container.demux(container.streams[clip.video.index])
        number = 0
        while (packet := _next(packets)) is not None:
            tick = packet.dts if packet.pts is None else packet.pts
            if clip.restarts and packet.size and number < len(closed):
                number, own = number + 1, closed[number]
                if tick is not None and own is not None:
                    shown[tick] = own
                tick = own
            frames = tuple((shown.get(each.pts, each.pts), each) for each in _decoded(packet))
            yield DecodedPacket(tick if packet.size else None, frames)


def _next(packets: Iterator[Any]) -> Any:
    """Return the next packet, or None if the file ends or cannot be read any further."""
    with suppress(av.error.FFmpegError, OSError):
        return next(packets, None)
    return None


def _decoded(packet: Any) -> list[Any]:
    """Return the frames decoded from a packet; none on an error, so that they are reported as missing."""
    with suppress(av.error.FFmpegError):
        return list(packet.decode())
    return []
