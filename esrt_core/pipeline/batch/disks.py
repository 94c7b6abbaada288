"""Whether the disks have room for the results of plans."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import TargetError
from esrt_core.files import display_name, free_bytes, nearest_existing
from esrt_core.pipeline.image.plan import UpscalePlan


@dataclass(frozen=True)
class Disk:
    """Compare the free bytes on the disk of `folder` with the expected and the least size of the results."""

    folder: Path
    free: int
    expected: int
    least: int

    def check(self) -> None:
        """Raise TargetError if the results certainly do not fit."""
        if self.least > self.free:
            raise TargetError(
                f"{display_name(self.folder)}: the results need at least {self.least:,} bytes but only {self.free:,} "
                "are free on this disk; free some space or choose another folder with -o"
            )


def disks_of(plans: Iterable[UpscalePlan]) -> list[Disk]:
    """Return the disks that the results of plans go to."""
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
        total[1] += plan.target.format.least_bytes * _pixels(plan)
    return [
        Disk(folder, free_bytes(folder), math.ceil(sums[device][0]), math.ceil(sums[device][1]))
        for device, folder in folders.items()
    ]


def expected_bytes(plan: UpscalePlan) -> float:
    """Return the expected size of one result in bytes: for a lossless source of the same format, at most its own rate.

    The rate of a lossy source says little: its quality is often lower than that of the results.
    """
    typical = plan.target.format.typical_bytes * (2 if plan.info.depth > 8 else 1)
    if plan.target.format == plan.info.format and plan.info.lossless is not False:
        own = plan.info.byte_size / (plan.info.width * plan.info.height * plan.info.pages)
        typical = min(typical, own)
    return typical * _pixels(plan)


def _pixels(plan: UpscalePlan) -> int:
    return plan.size.width * plan.size.height * plan.pages
