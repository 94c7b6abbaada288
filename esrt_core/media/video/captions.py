"""Closed captions in the frames of a clip: find them in the packets, and write them as subtitles.

CEA-608 captions are decoded by ffmpeg's decoder; it does not decode CEA-708. Both travel as triplets in user data of
the picture (ATSC A/53 part 4, section 6.2.3; ANSI/CTA-708, section 4.3).
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData

from esrt_core.media.video.clip import ClipInfo
from esrt_core.media.video.packets import decoded_packets

CEA_608, CEA_708 = "CEA-608", "CEA-708"
_ATSC = b"GA94\x03"  # in MPEG-2 user data, and in SEI messages of H.264 and HEVC
_DVD = b"CC\x01\xf8"
SEARCHED = 8192  # bytes of a packet; user data comes before the picture
_UNIT = Fraction(1, 1000)  # seconds of a tick of SRT


def captions_of_packet(data: bytes) -> frozenset[str]:
    """Return the kinds of captions in the user data of a packet of the picture; padding is none."""
    head = data[:SEARCHED]
    if _DVD in head:
        return frozenset({CEA_608})
    start = head.find(_ATSC)
    if start < 0 or len(data) < start + 7:
        return frozenset()
    count = data[start + 5] & 31
    return captions_of_triplets(data[start + 7 : start + 7 + 3 * count])


def captions_of_triplets(data: bytes) -> frozenset[str]:
    """Return the kinds of captions in triplets of (marker, two bytes)."""
    kinds = set()
    for marker, first, second in zip(data[::3], data[1::3], data[2::3], strict=False):
        if marker & 4 and marker & 3 >= 2:
            kinds.add(CEA_708)
        elif marker & 4 and (first & 127 or second & 127):  # the high bit is parity
            kinds.add(CEA_608)
    return frozenset(kinds)


@dataclass(frozen=True)
class Caption:
    """Hold the text of a caption and when it is shown, in seconds after the start of the clip."""

    begin: Fraction
    end: Fraction
    text: str


def write_captions(clip: ClipInfo, target: Path, start: Fraction, duration: Fraction | None) -> bool:
    """Write the CEA-608 captions of a part of a clip in SRT, in seconds after `start`.

    A caption that is on the screen at the start or the end of the part is cut. Returns whether there is one; else no
    file is written.
    """
    length = clip.duration - start if duration is None else duration
    shown = [
        Caption(max(each.begin - start, Fraction(0)), min(each.end - start, length), each.text)
        for each in read_captions(clip)
    ]
    shown = [each for each in shown if each.begin < each.end]
    if not shown:
        return False
    blocks = [
        f"{number}\n{_clock(each.begin)} --> {_clock(each.end)}\n{each.text}\n" for number, each in enumerate(shown, 1)
    ]
    target.write_text("\n".join(blocks), encoding="utf-8")
    return True


def read_captions(clip: ClipInfo) -> Iterator[Caption]:
    """Decode a clip and yield its CEA-608 captions in order."""
    time_base = clip.video.timing.time_base
    end = clip.video.timing.end * time_base - clip.start
    with av.open(io.BytesIO(_NO_CAPTIONS), format="scc") as container:  # only a stream's decoder has a time base
        stream: Any = container.streams[0]
        decoder, unit = stream.codec_context, stream.time_base
        for tick, data in _caption_data(clip):
            packet = av.Packet(data)
            packet.pts = packet.dts = round((tick * time_base - clip.start) / unit)
            yield from _captions(decoder.decode2(packet))
        last = av.Packet()
        last.pts = last.dts = round(end / unit)
        for caption in _captions(decoder.decode2(last)):
            yield Caption(caption.begin, max(end, caption.end), caption.text)


_NO_CAPTIONS = b"Scenarist_SCC V1.0\n\n00:00:00:00\t9420\n\n"


def _caption_data(clip: ClipInfo) -> Iterator[tuple[int, bytes]]:
    """Yield the tick and the triplets of every frame that has any, in presentation order."""
    for packet in decoded_packets(clip):
        for tick, frame in packet.frames:
            data = frame.side_data.get(SideData.A53_CC)
            if data is not None and tick is not None:
                yield tick, bytes(data)


def _captions(found: Any) -> Iterator[Caption]:
    """Yield the caption of a decoded set, if it has text."""
    if found is None:
        return
    text = "\n".join(_plain(rect.dialogue.decode("utf-8", "replace")) for rect in found.rects).strip()
    if text:
        begin = Fraction(found.pts, av.time_base)
        yield Caption(begin, begin + found.end_display_time * _UNIT, text)


_TAGS = {"i1": "<i>", "i0": "</i>", "u1": "<u>", "u0": "</u>"}
_OVERRIDE = re.compile(r"\{\\(\w+)[^}]*\}")


def _plain(text: str) -> str:
    """Return text of ASS as SRT: italics and underlines stay, as does the corner to which the caption is aligned."""
    corner = next((found[0] for found in _OVERRIDE.finditer(text) if found[1].startswith("an")), "")
    lines = _OVERRIDE.sub(lambda found: _TAGS.get(found[1], ""), text).replace("\\N", "\n").replace("\\h", " ")
    shown = "\n".join(line.rstrip() for line in lines.split("\n") if line.strip())  # SRT ends at an empty line
    return corner + shown if shown else ""


def _clock(seconds: Fraction) -> str:
    whole = round(seconds / _UNIT)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02},{whole % 1000:03}"
