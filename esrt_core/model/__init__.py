"""The ESRT network."""

from esrt_core.model.esrt import ESRT, ESRTConfig

__all__ = ["ESRT", "ESRTConfig"]
