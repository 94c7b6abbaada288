"""The fast form: the trained network rewritten so that it gives the same picture in less time."""

from esrt_core.engine.fused.network import FusedESRT, fuse

__all__ = ["FusedESRT", "fuse"]
