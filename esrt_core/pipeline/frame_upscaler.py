"""Frames of a clip through the network; one that equals the frame before it is not computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from esrt_core.media.alpha import bleed
from esrt_core.media.clip_reader import ClipFrame
from esrt_core.media.frame import Frame
from esrt_core.media.pixel_layout import frame_bytes
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.resumed import checksum
from esrt_core.pipeline.segments import DoneFrame
from esrt_core.pipeline.timeline import Slot

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler

_GROUP_PIXELS = 8_000_000  # enough for a GPU to be given one frame while it computes another
_MOST_FRAMES = 8  # at most these are lost when the work is stopped


class FrameUpscaler:
    """Upscale the frames of one clip in order, and count what was computed and what was reused."""

    def __init__(self, engines: Engines, passes: Sequence[int], reuse: bool = True) -> None:
        self._engines = engines
        self._passes = passes
        self._reuse = reuse
        self._last: ClipFrame | None = None
        self._data = b""
        self._check = 0
        self.tile = 0
        self.frames_computed = 0
        self.frames_reused = 0
        self.tiles_computed = 0
        self.tiles_reused = 0
        self.notes: dict[str, None] = {}

    def group_size(self, width: int, height: int) -> int:
        """Return how many frames of this size are worth handing to the engine at once: more than one on a GPU only."""
        if self._engines.upscaler(self._passes[0]).device_name == "cpu":
            return 1
        return min(max(_GROUP_PIXELS // (width * height), 1), _MOST_FRAMES)

    def __call__(self, slots: Sequence[Slot]) -> list[DoneFrame]:
        """Return the upscaled frames of consecutive slots."""
        again = [self._seen(slot.frame) for slot in slots]
        results = iter(self._compute([slot.frame for slot, seen in zip(slots, again, strict=True) if not seen]))
        return [self._done(slot, seen, results) for slot, seen in zip(slots, again, strict=True)]

    @property
    def share_reused(self) -> float:
        """The share of the work that was reused: whole frames, and tiles of the others; 0 to 1."""
        frames = self.frames_computed + self.frames_reused
        tiles = self.tiles_computed + self.tiles_reused
        if not frames or not tiles:
            return 0.0
        return 1 - (self.frames_computed / frames) * (self.tiles_computed / tiles)

    def _seen(self, frame: ClipFrame) -> bool:
        """Say whether a frame equals the one before it, and keep it for the next."""
        last, self._last = self._last, frame
        return self._reuse and last is not None and (last is frame or np.array_equal(last.data, frame.data))

    def _done(self, slot: Slot, seen: bool, results: Iterator[bytes]) -> DoneFrame:
        if seen:
            self.frames_reused += 1
        else:
            self._data, self._check = next(results), checksum(slot.frame)
            self.frames_computed += 1
        return DoneFrame(slot.number, self._data, slot.tick, slot.length, slot.frame.tick, self._check, self.tile, seen)

    def _compute(self, sources: Sequence[ClipFrame]) -> list[bytes]:
        frames: Iterator[Frame] = (bleed(source.frame) for source in sources)
        for place, scale in enumerate(self._passes):
            frames = self._enlarged(frames, self._engines.upscaler(scale, place))
        return [frame_bytes(frame) for frame in frames]

    def _enlarged(self, frames: Iterator[Frame], upscaler: Upscaler) -> Iterator[Frame]:
        """Enlarge frames one by one as they are asked for, and count."""
        for each in upscaler.upscale_many(frames):
            self.tile = each.tile
            self.tiles_computed += each.computed
            self.tiles_reused += each.reused
            self.notes.update(dict.fromkeys(each.notes))
            yield each.frame
