"""The network in C for CPUs: one call enlarges a batch of tiles, in float32, without torch."""

from esrt_core.engine.native.network import NativeESRT

__all__ = ["NativeESRT"]
