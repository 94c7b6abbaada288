"""The ESRT network."""

from esrt_core.model.esrt import ESRT, MIN_SIDE, SCALES, ESRTConfig

__all__ = ["ESRT", "MIN_SIDE", "SCALES", "ESRTConfig"]
