"""TileCache: results of tiles that were seen before, by their exact bytes."""

import hashlib
from collections import OrderedDict

import numpy as np
from torch import Tensor

from esrt_core.media.frame import Plane

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
