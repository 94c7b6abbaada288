"""Groups of small frames whose tiles may share batches.

TileCache: results of tiles that were seen before, by their exact bytes.

The loop: tiles of pictures into batches, through the network, back to their pictures.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from esrt_core.engine.plan import tiling_for
from esrt_core.engine.runner import Runner
from esrt_core.engine.tiles import AsyncCopies, TiledFrame
from esrt_core.media.frame import Frame, Plane
from esrt_core.system.process import HeapTrimmer

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


CACHE_BYTES = 64 * 2**20


def tile_key(planes: tuple[Plane, ...], kind: str) -> bytes:
    """Digest a tile's bytes, its shape and `kind`, which names whatever else its result depends on."""
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for plane in planes:
        digest.update(f"{plane.shape}{plane.dtype}".encode())
        digest.update(np.ascontiguousarray(plane).data)
    return digest.digest()


class TileCache:
    """Keep the results used last, up to `limit` bytes in all."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        self._results: OrderedDict[bytes, Tensor] = OrderedDict()

    def get(self, key: bytes) -> Tensor | None:
        """Return a kept result, or None."""
        if key in self._results:
            self._results.move_to_end(key)
        return self._results.get(key)

    def put(self, key: bytes, result: Tensor) -> None:
        """Keep a result that is not kept yet, and drop the oldest ones beyond the limit.

        A result that is a part of a batch is copied: otherwise one that is used for long would keep the whole batch.
        """
        if result.nbytes > self._limit:
            return
        self._results[key] = result.clone() if result.untyped_storage().nbytes() > result.nbytes else result
        self._bytes += result.nbytes
        while self._bytes > self._limit:
            self._bytes -= self._results.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._results.clear()
        self._bytes = 0


WAITING = 32  # tiles whose result is known that may wait for the others of their batch

TilesDone = Callable[[int], None]


@torch.inference_mode()
def run_pictures(
    pictures: Sequence[TiledFrame],
    runner: Runner,
    cache: TileCache,
    heap: HeapTrimmer,
    copies: AsyncCopies,
    tiles_done: TilesDone,
) -> None:
    """Compute all tiles of some pictures, equal tiles once; pictures with tiles of one shape share batches.

    The pictures are complete when `copies` is settled. `tiles_done` is told after every batch how many tiles are done
    so far. On a GPU the host is one batch ahead of it.
    """
    done = 0
    for batch in _batches(sorted(pictures, key=_tile_form), cache):
        if runner.device.type == "cpu":
            heap.count(batch.waiting[0][0].plan.tile_shape, len(batch.inputs))
        batch.run(runner, cache)
        copies.close_batch()
        done += len(batch.waiting)
        tiles_done(done)


class Batch:
    """Hold tiles in their order: those to compute, each once, and those whose result is known."""

    def __init__(self) -> None:
        self.waiting: list[tuple[TiledFrame, bytes]] = []
        self.inputs: dict[bytes, tuple[TiledFrame, tuple[Plane, ...]]] = {}
        self.results: dict[bytes, Tensor] = {}

    def add(self, picture: TiledFrame, index: int, cache: TileCache) -> None:
        """Add a tile."""
        planes = picture.cut(index)
        key = tile_key(planes, picture.kind)
        self.waiting.append((picture, key))
        if key in self.inputs or key in self.results:
            return
        known = cache.get(key)
        if known is not None:
            self.results[key] = known
        else:
            picture.computed += 1
            self.inputs[key] = picture, planes

    def accepts(self, picture: TiledFrame) -> bool:
        """Say whether a tile of this picture may join."""
        if not self.waiting:
            return True
        first = self.waiting[0][0]
        full = len(self.inputs) == first.plan.batch or len(self.waiting) == first.plan.batch + WAITING
        return not full and _tile_form(first) == _tile_form(picture)

    def run(self, runner: Runner, cache: TileCache) -> None:
        """Compute what is missing and hand every result to its picture, in order."""
        if self.inputs:
            first = self.waiting[0][0]
            results = runner(self._decoded(), first.plan.windows, first.plan.batch, first.exact)
            for key, result in zip(self.inputs, results, strict=True):
                self.results[key] = result
                cache.put(key, result)
        for picture, key in self.waiting:
            picture.add(self.results[key])

    def _decoded(self) -> Tensor:
        """Return what is to be computed as (B, 3, h, w)."""
        parts = []
        for _, group in groupby(self.inputs.values(), key=lambda each: each[0].kind):
            pictures, tiles = zip(*group, strict=True)
            parts.append(pictures[0].decode(tiles))
        return torch.cat(parts) if len(parts) > 1 else parts[0]


def _batches(pictures: Sequence[TiledFrame], cache: TileCache) -> Iterator[Batch]:
    batch = Batch()
    for picture in pictures:
        for index in range(picture.plan.tiles):
            if not batch.accepts(picture):
                yield batch
                batch = Batch()
            batch.add(picture, index, cache)
    if batch.waiting:
        yield batch


def _tile_form(picture: TiledFrame) -> tuple[tuple[int, int], int, bool]:
    """Return what tiles in one batch must have in common: results on a GPU can depend on how many it holds."""
    return picture.plan.tile_shape, picture.plan.batch, picture.exact
