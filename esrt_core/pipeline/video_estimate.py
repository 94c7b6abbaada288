"""How long a clip will take at most, asked of the engine before the work."""

from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.estimate import LONG
from esrt_core.pipeline.video_plan import VideoPlan


def most_seconds(plan: VideoPlan, engines: Engines) -> float | None:
    """Return the seconds of computation where no frame is reused, None for short work; the first call times a tile."""
    video = plan.clip.video
    frames = min(plan.slots, video.timing.frames)
    if frames * video.width * video.height < LONG:
        return None
    seconds, width, height = 0.0, video.width, video.height
    engines = engines.of(plan.lineup)
    for place, scale in enumerate(plan.size.passes):
        seconds += engines.upscaler(scale, place).estimate_seconds(width, height)
        width, height = width * scale, height * scale
    return seconds * frames
