"""Groups of small frames whose tiles may share batches."""

from collections.abc import Iterable, Iterator

from esrt_core.engine.plan import tiling_for
from esrt_core.media.frame import Frame

BATCHES = 4  # that a group's pixels fill: enough for equal shapes to meet, little to wait for
MOST_FRAMES = 64


def group_frames(frames: Iterable[Frame], device_kind: str) -> Iterator[list[Frame]]:
    """Cut a stream of frames into consecutive groups that fill a few batches; a large frame is a group by itself."""
    limit = BATCHES * tiling_for(device_kind).batch_pixels
    group: list[Frame] = []
    pixels = 0
    for frame in frames:
        size = frame.width * frame.height
        if group and (pixels + size > limit or len(group) == MOST_FRAMES):
            yield group
            group, pixels = [], 0
        group.append(frame)
        pixels += size
    if group:
        yield group
