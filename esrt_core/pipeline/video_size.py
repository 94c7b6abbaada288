"""How large a clip becomes: as any picture, but in whole chroma samples where the user leaves the choice."""

import math
from dataclasses import replace

from esrt_core.errors import OptionError
from esrt_core.media.clip import ClipInfo
from esrt_core.pipeline.lineup import Lineup
from esrt_core.pipeline.sizes import SizePlan, SizeRequest, plan_size
from esrt_core.pipeline.video_options import VideoOptions


def plan_clip_size(clip: ClipInfo, options: VideoOptions, lineup: Lineup) -> SizePlan:
    """Plan in the picture as it is seen, return it as it is stored; a side that was not asked for becomes even."""
    video, request = clip.video, options.request
    sideways = video.rotation in (90, 270)
    if sideways:
        request = replace(request, width=request.height, height=request.width)
    try:
        size = plan_size(request, video.width, video.height, lineup.scales, lineup.later_scales)
    except OptionError as error:
        raise OptionError(f"{clip.path}: {error}") from error
    width, height = _even_sides(request, size)
    resample = (width, height) != (video.width * math.prod(size.passes), video.height * math.prod(size.passes))
    return SizePlan(size.passes, width, height, resample)


def _even_sides(request: SizeRequest, size: SizePlan) -> tuple[int, int]:
    if request.factor is not None and request.factor.denominator == 1:
        return size.width, size.height
    asked = {request.width, request.height, request.longest}
    sides = (size.width, size.height)
    width, height = (side if side in asked else side + side % 2 for side in sides)
    return width, height
