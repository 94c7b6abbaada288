"""What many results take of their disks, against what is free there."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import TargetError
from esrt_core.files import display_name, free_bytes, nearest_existing
from esrt_core.pipeline.plan import LEAST_BYTES, UpscalePlan

# Bytes per pixel that an ordinary photo takes at the default quality.
TYPICAL_BYTES = {"png": 1.3, "jpeg": 0.4, "webp": 0.25, "avif": 0.15, "heic": 0.15, "jxl": 0.2, "gif": 0.6}
_PLAIN = 3.0  # without compression


@dataclass(frozen=True)
class Disk:
    """Hold the bytes that are free on the disk of `folder`, those expected of the results, and the least they take."""

    folder: Path
    free: int
    expected: int
    least: int

    def check(self) -> None:
        """Raise TargetError where the results surely have no room."""
        if self.least > self.free:
            raise TargetError(
                f"{display_name(self.folder)}: the results take at least {self.least:,} bytes and {self.free:,} are "
                "free on this disk; free some space or choose another folder with -o"
            )


def disks_of(plans: Iterable[UpscalePlan]) -> list[Disk]:
    """Return the disks that plans write to."""
    folders: dict[int, Path] = {}
    sums: dict[int, list[float]] = {}
    devices: dict[Path, int] = {}
    for plan in plans:
        assert plan.target.path is not None
        folder = plan.target.path.parent
        if folder not in devices:
            devices[folder] = nearest_existing(folder).stat().st_dev
        device = devices[folder]
        folders.setdefault(device, folder)
        total = sums.setdefault(device, [0.0, 0.0])
        total[0] += expected_bytes(plan)
        total[1] += LEAST_BYTES.get(plan.target.format.name, 0) * _pixels(plan)
    return [
        Disk(folder, free_bytes(folder), math.ceil(sums[device][0]), math.ceil(sums[device][1]))
        for device, folder in folders.items()
    ]


def expected_bytes(plan: UpscalePlan) -> float:
    """Return what one result probably takes: without loss, no more per pixel than a source of the same format.

    A source with loss says little: its quality is often lower than that of results.
    """
    typical = TYPICAL_BYTES.get(plan.target.format.name, _PLAIN) * (2 if plan.info.depth > 8 else 1)
    if plan.target.format == plan.info.format and plan.info.lossless is not False:
        own = plan.info.byte_size / (plan.info.width * plan.info.height * plan.info.pages)
        typical = min(typical, own)
    return typical * _pixels(plan)


def _pixels(plan: UpscalePlan) -> int:
    return plan.size.width * plan.size.height * plan.pages
