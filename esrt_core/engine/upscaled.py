"""Upscaled: what the engine gives back for a frame."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esrt_core.engine.picture import Picture
from esrt_core.media.frame import Frame, Plane


@dataclass(frozen=True)
class Upscaled:
    """Hold a result: the larger frame, what should be said about it, and how it came about.

    notes     what happened for the first time while it was made, such as memory that ran out.
    tile      the tile in px that was used (0: the whole picture at once); smaller than planned after memory ran out.
    computed  tiles that went through the network; the `reused` ones were equal to others byte for byte.
    """

    frame: Frame
    notes: tuple[str, ...]
    tile: int
    computed: int
    reused: int


def put_together(frame: Frame, pictures: Sequence[Picture], notes: tuple[str, ...]) -> Upscaled:
    """Put a frame's finished planes together."""
    plan = pictures[0].plan
    alpha: Plane | None = None
    if len(pictures) > 1:
        alpha = pictures[1].finished()[0]
    elif frame.alpha is not None:
        size = (frame.height * plan.scale, frame.width * plan.scale)
        alpha = np.full(size, frame.alpha.flat[0], frame.alpha.dtype)
    larger = dataclasses.replace(frame, planes=pictures[0].finished(), alpha=alpha)
    computed = sum(picture.computed for picture in pictures)
    reused = sum(picture.plan.tiles for picture in pictures) - computed
    return Upscaled(larger, notes, plan.tile, computed, reused)
