"""Probe a finished result again, and compare it with what was planned: frames, length, size and streams."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from esrt_core.media.video.clip import OtherStream
from esrt_core.media.video.ffmpeg import open_clip
from esrt_core.media.video.mux import MuxRequest
from esrt_core.media.video.packets import has_packet
from esrt_core.pipeline.video.plan import VideoPlan

_ROUNDING = Fraction(1, 100)  # seconds; containers round times, and lengths of frames, to milliseconds
_COMPARED = ("audio", "subtitle")  # kinds of streams that every container lists


@dataclass(frozen=True)
class Expected:
    """Hold what a result must contain.

    frames    of the picture, which lasts `seconds`.
    captions  a subtitle stream of closed captions was added.
    """

    request: MuxRequest
    frames: int
    seconds: Fraction
    captions: bool


def differences(result: Path, plan: VideoPlan, expected: Expected) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (damage, notes), one line each: what differs from the plan, and streams that have no data in this part.

    Raises: MediaError if the result cannot be read.
    """
    with open_clip(result) as container:
        picture = next(iter(container.streams.video), None)
        if picture is None:
            return ("the result has no picture",), ()
        times, heard = _packets(container, picture)
        damage = list(_picture_differences(picture, times, plan, expected))
        present = [stream for stream in container.streams if stream.type == "subtitle" or stream.index in heard]
        found = Counter((stream.type, _codec(stream)) for stream in present)
    missing = _missing_streams(found, expected)
    lost = [stream for stream in missing if _has_data(plan, stream)]
    notes = [f"stream {each.index} ({each.kind} {each.codec}) has no data here" for each in missing if each not in lost]
    damage += [f"stream {each.index} ({each.kind} {each.codec}) is missing in the result" for each in lost]
    return tuple(damage), tuple(notes)


def _packets(container: Any, picture: Any) -> tuple[list[int], set[int]]:
    """Return the sorted ticks of the picture's frames, and the indices of the audio streams that have any packet."""
    times, heard = [], set()
    for packet in container.demux([picture, *container.streams.audio]):
        if packet.size and packet.stream.index != picture.index:
            heard.add(packet.stream.index)
        elif packet.size and packet.pts is not None:
            times.append(packet.pts)
    return sorted(times), heard


def _picture_differences(stream: Any, times: Sequence[int], plan: VideoPlan, expected: Expected) -> Iterator[str]:
    if len(times) != expected.frames:
        yield f"the result has {len(times)} of {expected.frames} frames"
        return
    size = (stream.codec_context.width, stream.codec_context.height)
    if size != (plan.encode.width, plan.encode.height):
        yield f"the picture of the result has {size[0]} x {size[1]} px"
    seconds = (times[-1] - times[0]) * stream.time_base
    frame = 1 / plan.timeline.rate
    too_short = not plan.timeline.keep and seconds < expected.seconds - frame - _ROUNDING
    if too_short or seconds > expected.seconds + _ROUNDING:
        yield f"the picture of the result lasts {float(seconds + frame):.2f} s of {float(expected.seconds):.2f} s"


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else "unknown"


def _missing_streams(found: Counter[tuple[str, str]], expected: Expected) -> list[OtherStream]:
    """Return the streams that the result lacks; if their number is right, other names of codecs are only aliases."""
    missing = []
    for kind in _COMPARED:
        planned = [stream for stream in expected.request.streams if stream.kind == kind]
        left = Counter({codec: count for (each, codec), count in found.items() if each == kind})
        lacking = len(planned) + (kind == "subtitle" and expected.captions) - left.total()
        unlike = [stream for stream in planned if not _take(left, _result_codec(stream, expected.request))]
        missing += (unlike or planned)[: max(lacking, 0)]
    return missing


def _take(left: Counter[str], codec: str) -> bool:
    """Take a stream of a codec out of those that are left, if there is one."""
    left[codec] -= 1
    return left[codec] >= 0


def _result_codec(stream: OtherStream, request: MuxRequest) -> str:
    return request.sound if stream.index in request.converted else stream.codec


def _has_data(plan: VideoPlan, stream: OtherStream) -> bool:
    """Return whether a stream of the source has a packet in the part that was made."""
    request, clip = plan.mux, plan.clip
    end = clip.duration if request.duration is None else request.start + request.duration
    return has_packet(clip, stream.index, clip.start + request.start, clip.start + end)
