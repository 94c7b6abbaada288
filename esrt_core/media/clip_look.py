"""The first frames of a clip, decoded: what only they tell."""

from dataclasses import dataclass, field
from typing import Any

import av
from av.sidedata.sidedata import Type as SideData

_DYNAMIC = (SideData.DYNAMIC_HDR_PLUS, SideData.DOVI_METADATA, SideData.DOVI_RPU_BUFFER, SideData.DYNAMIC_HDR_VIVID)
_LOOKED_AT = 12  # frames decoded to see interlacing; some clips begin progressive


@dataclass
class Look:
    """Gather what only decoded frames tell."""

    frame: Any = None
    interlaced: bool = False
    side_data: dict[Any, bytes] = field(default_factory=dict)
    dynamic: bool = False


def look_at(container: Any, stream: Any) -> Look:
    """Decode the first frames of a stream, as far as that goes."""
    look = Look()
    try:
        for number, frame in enumerate(container.decode(stream)):
            look.frame = look.frame or frame
            look.interlaced |= bool(frame.interlaced_frame)
            look.dynamic |= any(frame.side_data.get(kind) is not None for kind in _DYNAMIC)
            for kind in (SideData.DISPLAYMATRIX, SideData.MASTERING_DISPLAY_METADATA, SideData.CONTENT_LIGHT_LEVEL):
                data = frame.side_data.get(kind)
                if data is not None:
                    look.side_data.setdefault(kind, bytes(data))
            if number + 1 == _LOOKED_AT:
                break
    except av.error.FFmpegError:
        return look  # what decodes is enough here; the reader reports the damage with its time
    return look
