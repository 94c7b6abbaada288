"""Frames of a clip through the network; one that equals the frame before it is not computed again."""

from collections.abc import Sequence

import numpy as np

from esrt_core.media.alpha import bleed
from esrt_core.media.clip_reader import ClipFrame
from esrt_core.media.pixel_layout import frame_bytes
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.resumed import checksum
from esrt_core.pipeline.segments import DoneFrame
from esrt_core.pipeline.timeline import Slot


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

    def __call__(self, slot: Slot) -> DoneFrame:
        """Return the upscaled frame of a slot."""
        again = self._reuse and self._last is not None and _same(self._last, slot.frame)
        if again:
            self.frames_reused += 1
        else:
            self._compute(slot.frame)
            self.frames_computed += 1
        self._last = slot.frame
        return DoneFrame(
            slot.number, self._data, slot.tick, slot.length, slot.frame.tick, self._check, self.tile, again
        )

    @property
    def share_reused(self) -> float:
        """The share of the work that was reused: whole frames, and tiles of the others; 0 to 1."""
        frames = self.frames_computed + self.frames_reused
        tiles = self.tiles_computed + self.tiles_reused
        if not frames or not tiles:
            return 0.0
        return 1 - (self.frames_computed / frames) * (self.tiles_computed / tiles)

    def _compute(self, source: ClipFrame) -> None:
        frame = bleed(source.frame)
        for scale in self._passes:
            upscaled = self._engines.upscaler(scale).upscale(frame)
            frame = upscaled.frame
            self.tile = upscaled.tile
            self.tiles_computed += upscaled.computed
            self.tiles_reused += upscaled.reused
            self.notes.update(dict.fromkeys(upscaled.notes))
        self._data = frame_bytes(frame)
        self._check = checksum(source)


def _same(first: ClipFrame, second: ClipFrame) -> bool:
    return first is second or np.array_equal(first.data, second.data)
