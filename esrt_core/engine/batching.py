"""Batching: group small frames, run their tiles through the network in batches, and reuse results of equal tiles."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from esrt_core.engine.arrays import Array, namespace
from esrt_core.engine.form import Form
from esrt_core.engine.plan import tiling_for
from esrt_core.engine.tiles import TiledFrame, Transfer
from esrt_core.media.frame import Frame, Plane

BATCHES = 4  # of pixels in a group: enough for equal shapes to meet, with little delay
MOST_FRAMES = 64
CACHE_BYTES = 64 * 2**20
MAX_KNOWN_TILES = 32  # tiles with a known result that may wait for the rest of their batch

TilesDone = Callable[[int], None]


class TileCache:
    """Cache results by the exact bytes of their tiles, least recently used first out, up to `limit` bytes in total."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        self._results: OrderedDict[bytes, Array] = OrderedDict()

    def get(self, key: bytes) -> Array | None:
        """Return a cached result, or None."""
        if key in self._results:
            self._results.move_to_end(key)
        return self._results.get(key)

    def put(self, key: bytes, result: Array, is_slice: bool = False) -> None:
        """Cache a new result and drop the least recently used ones beyond the limit.

        A slice of a batch is copied, because it would otherwise keep the memory of the whole batch.
        """
        if result.nbytes > self._limit:
            return
        self._results[key] = namespace(result).asarray(result, copy=True) if is_slice else result
        self._bytes += result.nbytes
        while self._bytes > self._limit:
            self._bytes -= self._results.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Remove all results."""
        self._results.clear()
        self._bytes = 0


class Batch:
    """Hold tiles in order: those to compute, each once, and those with a known result."""

    def __init__(self) -> None:
        self.waiting: list[tuple[TiledFrame, bytes]] = []
        self.inputs: dict[bytes, tuple[TiledFrame, tuple[Plane, ...]]] = {}
        self.results: dict[bytes, Array] = {}

    def add(self, picture: TiledFrame, index: int, cache: TileCache) -> None:
        """Add a tile."""
        planes = picture.cut(index)
        key = tile_key(planes, picture.format_key)
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
        """Return whether a tile of this picture can be added."""
        if not self.waiting:
            return True
        first = self.waiting[0][0]
        full = len(self.inputs) == first.plan.batch or len(self.waiting) == first.plan.batch + MAX_KNOWN_TILES
        return not full and _batch_key(first) == _batch_key(picture)

    def finish(self, results: Sequence[Array], cache: TileCache) -> None:
        """Take the results of the inputs and add every result to its picture, in order."""
        for key, result in zip(self.inputs, results, strict=True):
            self.results[key] = result
            cache.put(key, result, is_slice=len(results) > 1)
        for picture, key in self.waiting:
            picture.add(self.results[key])

    def decoded(self) -> Array:
        """Return the tiles to compute as (B, 3, h, w)."""
        parts = []
        for _, group in groupby(self.inputs.values(), key=lambda each: each[0].format_key):
            pictures, tiles = zip(*group, strict=True)
            parts.append(pictures[0].decode(tiles))
        return namespace(parts[0]).concatenate(parts) if len(parts) > 1 else parts[0]


def group_frames(frames: Iterable[Frame], device_kind: str) -> Iterator[list[Frame]]:
    """Split a stream of frames into consecutive groups that fill a few batches; a large frame is a group by itself."""
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


def run_tiles(
    pictures: Sequence[TiledFrame], form: Form, cache: TileCache, transfer: Transfer, tiles_done: TilesDone
) -> None:
    """Compute all tiles of some pictures, equal tiles only once; pictures with tiles of one shape share batches.

    The pictures are complete once `transfer` is flushed. `tiles_done` is called after every batch with the number of
    tiles done so far. The host is one batch ahead of a GPU.
    """
    done = 0
    for batch in _batches(sorted(pictures, key=_batch_key), cache):
        first = batch.waiting[0][0]
        results: Sequence[Array] = ()
        if batch.inputs:
            results = form(batch.decoded(), first.plan.windows, first.plan.batch, first.needs_fp32)
        batch.finish(results, cache)
        transfer.end_batch()
        done += len(batch.waiting)
        tiles_done(done)


def tile_key(planes: tuple[Plane, ...], format_key: str) -> bytes:
    """Return a digest of a tile's bytes, its shape and `format_key`, which covers what else its result depends on."""
    digest = hashlib.blake2b(format_key.encode(), digest_size=16)
    for plane in planes:
        digest.update(f"{plane.shape}{plane.dtype}".encode())
        digest.update(np.ascontiguousarray(plane).data)
    return digest.digest()


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


def _batch_key(picture: TiledFrame) -> tuple[tuple[int, int], int, bool]:
    """Return what the tiles of a batch must have in common; on a GPU results can depend on the size of the batch."""
    return picture.plan.tile_shape, picture.plan.batch, picture.needs_fp32
