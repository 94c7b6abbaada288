"""The user's options for the computation, without torch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from esrt_core.errors import OptionError

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
MIN_TILE = 48  # px; with less, the seams of one tile would touch
MAX_TILE = 2048
_DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d+)?")


@dataclass(frozen=True)
class EngineOptions:
    """Hold device, threads, precision, tile and self-ensemble.

    device     "auto" (cuda, then mps, then cpu) or a name such as "cpu", "cuda", "cuda:1", "mps".
    threads    CPU threads during calls, or None for as many as torch has set.
    precision  "auto" (fp16 on a CUDA device, else fp32), "fp32", "fp16" or "bf16".
    tile       side of a tile in px, None for the device's default, 0 for the whole picture in the paper's form.
    tta        average the results of the eight flips and rotations.

    Raises: OptionError if a value is unknown or out of range.
    """

    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    tile: int | None = None
    tta: bool = False

    def __post_init__(self) -> None:
        if self.device == "all" or "," in self.device:
            raise OptionError(f"'{self.device}' names several devices, which only esrt batch and esrt video use")
        if not _DEVICE.fullmatch(self.device):
            raise OptionError(f"unknown device '{self.device}'; choose auto, cpu, mps, cuda or cuda:N")
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise OptionError(f"threads must be from 1 to 1024, not {self.threads}")
        if self.precision not in PRECISIONS:
            raise OptionError(f"unknown precision '{self.precision}'; choose one of {', '.join(PRECISIONS)}")
        if self.tile and not MIN_TILE <= self.tile <= MAX_TILE:
            raise OptionError(
                f"tile must be 0 (the whole picture) or from {MIN_TILE} to {MAX_TILE} px, not {self.tile}"
            )


def check_devices(devices: Sequence[str]) -> None:
    """Raise OptionError if a device that shares the work is unknown or named twice; "all" stands alone."""
    if tuple(devices) == ("all",):
        return
    for device in devices:
        EngineOptions(device)
    if len(set(devices)) != len(devices):
        raise OptionError(f"--device {','.join(devices)} names a device twice")
