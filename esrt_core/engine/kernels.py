"""How many prepared kernels are kept: oneDNN prepares one for every layer and every shape of its input."""

import os

KEPT = 128  # about ten shapes of tiles; with 1024, its default, pictures of many sizes take 65 MB more


def bound_kept_kernels() -> None:
    """Bound oneDNN's and torch's caches, unless the environment says how; only before the first convolution."""
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(KEPT))
