"""What a plan will take, asked of the engine before the work."""

from dataclasses import dataclass

from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.enlarge import tiles_of_passes
from esrt_core.pipeline.plan import UpscalePlan

LONG = 200_000  # px through the network; below that, finding out how long it takes is a good part of the work


@dataclass(frozen=True)
class Estimate:
    """Hold device, precision, tiles over all pages and passes, and seconds of computation, None for short work."""

    device: str
    precision: str
    tiles: int
    seconds: float | None


def estimate(plan: UpscalePlan, engines: Engines) -> Estimate:
    """Load the networks of a plan and estimate its work; the first estimate of long work times one tile."""
    engines = engines.of(plan.lineup)
    first = engines.upscaler(plan.size.passes[0])
    sizes = plan.size.entering(plan.info.width, plan.info.height)
    tiles = sum(tiles_of_passes(plan.info.width, plan.info.height, plan.size, engines)) * plan.pages
    parts = plan.pages * (2 if plan.info.has_alpha else 1)  # alpha goes through the network as a gray picture
    seconds = None
    if parts * sum(width * height for width, height in sizes) >= LONG:
        steps = enumerate(zip(plan.size.passes, sizes, strict=True))
        seconds = parts * sum(engines.upscaler(scale, place).estimate_seconds(*size) for place, (scale, size) in steps)
    precision = first.precision_for(plan.size.depth_between(plan.info.depth))
    return Estimate(first.device_name, precision, tiles, seconds)
