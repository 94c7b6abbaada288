"""Upscale pictures and clips with ESRT.

    from esrt_core import Upscaler, upscale

    larger = upscale(image, scale=4)        # a Pillow image or a NumPy array in, the same kind out
    save(larger, "larger.png")              # with all that the file of the image carried
    upscaler = Upscaler(scale=2.5)          # loads its networks once for many pictures
    larger = [upscaler.upscale(image) for image in images]
    upscale_folder("photos", "large")       # files; rerun to resume
    upscale_clip("clip.mp4", scale=2)

Names are imported on first use: `import esrt_core` loads neither torch nor NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esrt_core.api import Upscaler, save, upscale, upscale_clip, upscale_folder
    from esrt_core.errors import DeviceError, EsrtError, MediaError, OptionError, TargetError, WeightsError
    from esrt_core.progress import Progress

__all__ = [
    "DeviceError",
    "EsrtError",
    "MediaError",
    "OptionError",
    "Progress",
    "TargetError",
    "Upscaler",
    "WeightsError",
    "save",
    "upscale",
    "upscale_clip",
    "upscale_folder",
]

_API = ("Upscaler", "save", "upscale", "upscale_clip", "upscale_folder")
_HOMES = {"Progress": "esrt_core.progress"} | dict.fromkeys(_API, "esrt_core.api")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'esrt_core' has no attribute '{name}'")
    return getattr(import_module(_HOMES.get(name, "esrt_core.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
