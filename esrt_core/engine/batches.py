"""The loop: tiles of pictures into batches, through the network, back to their pictures."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from esrt_core.engine.heap import Heap
from esrt_core.engine.landing import Landing
from esrt_core.engine.picture import Picture
from esrt_core.engine.reuse import TileCache, tile_key
from esrt_core.engine.runner import Runner
from esrt_core.media.frame import Plane

WAITING = 32  # tiles whose result is known that may wait for the others of their batch

TilesDone = Callable[[int], None]


@torch.inference_mode()
def run_pictures(
    pictures: Sequence[Picture],
    runner: Runner,
    cache: TileCache,
    heap: Heap,
    landing: Landing,
    tiles_done: TilesDone,
) -> None:
    """Compute all tiles of some pictures, equal tiles once; pictures with tiles of one shape share batches.

    The pictures are complete when `landing` is settled. `tiles_done` is told after every batch how many tiles are done
    so far. On a GPU the host is one batch ahead of it.
    """
    done = 0
    for batch in _batches(sorted(pictures, key=_tile_form), cache):
        if runner.device.type == "cpu":
            heap.count(batch.waiting[0][0].plan.tile_shape, len(batch.inputs))
        batch.run(runner, cache)
        landing.close_batch()
        done += len(batch.waiting)
        tiles_done(done)


class Batch:
    """Hold tiles in their order: those to compute, each once, and those whose result is known."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Picture, bytes]] = []
        self.inputs: dict[bytes, tuple[Picture, tuple[Plane, ...]]] = {}
        self.results: dict[bytes, Tensor] = {}

    def add(self, picture: Picture, index: int, cache: TileCache) -> None:
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

    def accepts(self, picture: Picture) -> bool:
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


def _batches(pictures: Sequence[Picture], cache: TileCache) -> Iterator[Batch]:
    batch = Batch()
    for picture in pictures:
        for index in range(picture.plan.tiles):
            if not batch.accepts(picture):
                yield batch
                batch = Batch()
            batch.add(picture, index, cache)
    if batch.waiting:
        yield batch


def _tile_form(picture: Picture) -> tuple[tuple[int, int], int, bool]:
    """Return what tiles in one batch must have in common: results on a GPU can depend on how many it holds."""
    return picture.plan.tile_shape, picture.plan.batch, picture.exact
