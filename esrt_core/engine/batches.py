"""The loop: tiles of pictures into batches, through the network, back to their pictures."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from esrt_core.engine.picture import Picture
from esrt_core.engine.reuse import TileCache, tile_key
from esrt_core.engine.runner import Runner
from esrt_core.progress import Progress, ProgressCallback

WAITING = 32  # tiles that may wait, their results known, for the batch before them


@torch.inference_mode()
def run_pictures(pictures: Sequence[Picture], runner: Runner, cache: TileCache, progress: ProgressCallback) -> int:
    """Compute all tiles of pictures of one plan, equal tiles once; return how many were computed."""
    total = sum(picture.plan.tiles for picture in pictures)
    done = computed = 0
    for batch in _batches(pictures, cache):
        computed += len(batch.inputs)
        batch.run(runner, cache)
        done += len(batch.waiting)
        progress(Progress("upscale", done, total, "tiles"))
    return computed


class Batch:
    """Hold tiles in their order: those to compute, once each, and those whose result is known."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Picture, bytes]] = []
        self.inputs: dict[bytes, Tensor] = {}
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
            self.inputs[key] = picture.to_rgb(planes)

    def full(self, size: int) -> bool:
        """Say whether it is time to run."""
        return len(self.inputs) == size or len(self.waiting) == size + WAITING

    def run(self, runner: Runner, cache: TileCache) -> None:
        """Compute what is missing and hand every result to its picture, in order."""
        if self.inputs:
            first = self.waiting[0][0]
            results = runner(torch.stack(list(self.inputs.values())), first.plan.windows, first.exact)
            for key, result in zip(self.inputs, results, strict=True):
                self.results[key] = result
                cache.put(key, result)
        for picture, key in self.waiting:
            picture.add(self.results[key])


def _batches(pictures: Sequence[Picture], cache: TileCache) -> Iterator[Batch]:
    batch = Batch()
    for picture in pictures:
        for index in range(picture.plan.tiles):
            batch.add(picture, index, cache)
            if batch.full(picture.plan.batch):
                yield batch
                batch = Batch()
    if batch.waiting:
        yield batch
