"""Upscale the frames of a clip in order; one that equals the frame before it is not computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from esrt_core.media.video.clip import frame_bytes
from esrt_core.media.video.reader import ClipFrame
from esrt_core.pipeline.enlarge import enlarge_frames, finish, prepare
from esrt_core.pipeline.sizes import SizePlan
from esrt_core.pipeline.video.resume import checksum
from esrt_core.pipeline.video.timeline import Slot
from esrt_core.selection import UpscalerPool

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaled

_GROUP_PIXELS = 8_000_000  # enough that a GPU receives one frame while it computes another
_MAX_GROUP = 8  # frames for each device; the most that are lost when the work is stopped


@dataclass(frozen=True)
class DoneFrame:
    """Hold one upscaled frame of the result.

    data          its bytes; the same object again if the frame is repeated.
    tick, length  in the result's ticks.
    check         CRC-32 of the source frame's bytes.
    """

    number: int
    data: bytes
    tick: int
    length: int
    source_tick: int
    check: int
    tile: int
    reused: bool


class FrameUpscaler:
    """Upscale the frames of one clip in order, and count what is computed and what is reused."""

    def __init__(self, pools: Sequence[UpscalerPool], size: SizePlan, reuse: bool = True) -> None:
        """Take a pool for each device that shares the frames; passes and the final size, in px, are those of `size`."""
        self._pools = pools
        self._size = size
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
        """Return how many frames of this size (px) to upscale at once: more than one for a device only on a GPU."""
        if self._pools[0].upscaler(self._size.passes[0]).device_name == "cpu":
            return len(self._pools)
        return len(self._pools) * min(max(_GROUP_PIXELS // (width * height), 1), _MAX_GROUP)

    def __call__(self, slots: Sequence[Slot]) -> list[DoneFrame]:
        """Return the upscaled frames of consecutive slots."""
        repeats = [self._repeats_last(slot.frame) for slot in slots]
        results = iter(self._compute([slot.frame for slot, same in zip(slots, repeats, strict=True) if not same]))
        return [self._done(slot, same, results) for slot, same in zip(slots, repeats, strict=True)]

    @property
    def share_reused(self) -> float:
        """The share of the work that was reused, whole frames and tiles of the others: 0 to 1."""
        frames = self.frames_computed + self.frames_reused
        tiles = self.tiles_computed + self.tiles_reused
        if not frames or not tiles:
            return 0.0
        return 1 - (self.frames_computed / frames) * (self.tiles_computed / tiles)

    def _repeats_last(self, frame: ClipFrame) -> bool:
        """Return whether a frame equals the one before it, and remember it for the next."""
        last, self._last = self._last, frame
        return self._reuse and last is not None and (last is frame or np.array_equal(last.data, frame.data))

    def _done(self, slot: Slot, reused: bool, results: Iterator[bytes]) -> DoneFrame:
        if reused:
            self.frames_reused += 1
        else:
            self._data, self._check = next(results), checksum(slot.frame)
            self.frames_computed += 1
        return DoneFrame(
            slot.number, self._data, slot.tick, slot.length, slot.frame.tick, self._check, self.tile, reused
        )

    def _compute(self, sources: Sequence[ClipFrame]) -> list[bytes]:
        if not sources:
            return []
        share = -(-len(sources) // len(self._pools))
        parts = [sources[first : first + share] for first in range(0, len(sources), share)]
        if len(parts) == 1:
            enlarged = self._enlarged(self._pools[0], sources)
        else:
            with ThreadPoolExecutor(len(parts)) as threads:
                enlarged = list(chain.from_iterable(threads.map(self._enlarged, self._pools, parts)))
        return [
            self._counted(finish(each, self._size, source.frame.depth))
            for source, each in zip(sources, enlarged, strict=True)
        ]

    def _enlarged(self, pool: UpscalerPool, sources: Sequence[ClipFrame]) -> list[Upscaled]:
        prepared = [prepare(source.frame, self._size) for source in sources]
        return enlarge_frames(prepared, self._size.passes, pool)

    def _counted(self, upscaled: Upscaled) -> bytes:
        """Count what the engine did for a frame, and return its samples."""
        self.tile = upscaled.tile
        self.tiles_computed += upscaled.computed
        self.tiles_reused += upscaled.reused
        self.notes.update(dict.fromkeys(upscaled.notes))
        return frame_bytes(upscaled.frame)
