"""What a plan will take, asked of the engine before the work."""

from dataclasses import dataclass

from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.enlarge import tiles_of_passes
from esrt_core.pipeline.plan import UpscalePlan


@dataclass(frozen=True)
class Estimate:
    """Hold device, precision, tiles over all pages and passes, and seconds of computation."""

    device: str
    precision: str
    tiles: int
    seconds: float


def estimate(plan: UpscalePlan, engines: Engines) -> Estimate:
    """Load the networks of a plan and estimate its work; the first call times one tile."""
    first = engines.upscaler(plan.size.passes[0])
    tiles = sum(tiles_of_passes(plan.info.width, plan.info.height, plan.size.passes, engines))
    width, height, seconds = plan.info.width, plan.info.height, 0.0
    for scale in plan.size.passes:
        seconds += engines.upscaler(scale).estimate_seconds(width, height)
        width, height = width * scale, height * scale
    parts = 2 if plan.info.has_alpha else 1  # alpha goes through the network as a gray picture
    return Estimate(first.device_name, first.precision, tiles * plan.pages, seconds * parts * plan.pages)
