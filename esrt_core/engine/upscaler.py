"""Upscaler: the engine's door. A Frame in host memory in, a larger Frame out."""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from esrt_core.engine.batches import run_pictures
from esrt_core.engine.device import choose_device, choose_precision
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.picture import Picture
from esrt_core.engine.plan import Plan, estimate_work, make_plan, smaller_tile
from esrt_core.engine.reuse import TileCache
from esrt_core.engine.runner import Runner
from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.model import ESRT
from esrt_core.progress import ProgressCallback, ignore_progress


@dataclass(frozen=True)
class Upscaled:
    """Hold a result: the larger frame, what should be said about it, and how it came about.

    tile      the tile in px that was used (0: the whole picture at once); smaller than planned after memory ran out.
    computed  tiles that went through the network; `reused` ones were equal to them byte for byte.
    """

    frame: Frame
    notes: tuple[str, ...]
    tile: int
    computed: int
    reused: int


class Upscaler:
    """Enlarge frames with one network on one device.

    The device gets batches of tiles, never a whole picture, and finished rows come back: besides the two frames, the
    memory needed does not grow with the picture's height. On one device, with one thread count and one torch version,
    the result depends on the frame, the network and `EngineOptions` alone.
    """

    def __init__(self, network: ESRT, options: EngineOptions = EngineOptions()) -> None:  # noqa: B008 (frozen)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self._network = network
        self._options = options
        self._tile = options.tile
        self._notes: dict[str, None] = {}  # said once; a dict keeps the order
        self._pace: float | None = None  # seconds per multiply-add
        self._use(choose_device(options.device))

    def _use(self, device: torch.device) -> None:
        self._device = device
        self._precision = choose_precision(self._options, device)
        self._runner = Runner(self._network, device, self._precision, self._options.tile == 0, self._options.tta)
        self._cache = TileCache()

    @property
    def scale(self) -> int:
        """The network's factor."""
        return self._network.config.scale

    @property
    def device_name(self) -> str:
        """The device in use, such as "cpu" or "cuda:0"."""
        return str(self._device)

    @property
    def precision(self) -> str:
        """The precision in use: "fp32", "fp16" or "bf16"."""
        return self._precision

    def plan(self, width: int, height: int) -> Plan:
        """Plan the tiles of a picture; raise OptionError when tile 0 was asked for and the picture is too large."""
        return make_plan(width, height, self.scale, self._device.type, self._precision, self._tile)

    def upscale(self, frame: Frame, progress: ProgressCallback = ignore_progress) -> Upscaled:
        """Enlarge a frame; space, depth and alpha stay as they are.

        A constant alpha plane stays constant. Raise WeightsError when the network's result is not finite.
        """
        return next(self.upscale_many([frame], progress))

    def upscale_many(self, frames: Iterable[Frame], progress: ProgressCallback = ignore_progress) -> Iterator[Upscaled]:
        """Enlarge frames one by one, in order."""
        for frame in frames:
            yield self._upscale(frame, progress)

    def estimate_seconds(self, width: int, height: int) -> float:
        """Estimate the time for a picture from the pace of one tile, measured at the first call."""
        if self._pace is None:
            self._pace = self._measure_pace()
        return self._pace * estimate_work(self.plan(width, height)) * (8 if self._options.tta else 1)

    def _upscale(self, frame: Frame, progress: ProgressCallback) -> Upscaled:
        while True:
            try:
                return self._attempt(frame, progress)
            except torch.OutOfMemoryError:
                if not self._shrink(frame):
                    raise

    def _attempt(self, frame: Frame, progress: ProgressCallback) -> Upscaled:
        plan = self.plan(frame.width, frame.height)
        parts = [frame] if frame.alpha is None or is_constant(frame.alpha) else [frame, gray(frame.alpha, frame.depth)]
        pictures = [Picture(part, plan, self._device) for part in parts]
        computed = run_pictures(pictures, self._runner, self._cache, progress)
        reused = sum(picture.plan.tiles for picture in pictures) - computed
        return Upscaled(self._assemble(frame, pictures), tuple(self._notes), plan.tile, computed, reused)

    def _assemble(self, frame: Frame, pictures: Sequence[Picture]) -> Frame:
        planes = pictures[0].finished()
        alpha: Plane | None = None
        if len(pictures) > 1:
            alpha = pictures[1].finished()[0]
        elif frame.alpha is not None:
            size = (frame.height * self.scale, frame.width * self.scale)
            alpha = np.full(size, frame.alpha.flat[0], frame.alpha.dtype)
        return dataclasses.replace(frame, planes=planes, alpha=alpha)

    def _shrink(self, frame: Frame) -> bool:
        """Take the next smaller tile, in the end the CPU; say whether there is a next try."""
        self._cache.clear()
        smaller = smaller_tile(self.plan(frame.width, frame.height).tile)
        if smaller is not None:
            self._tile = smaller
        elif self._device.type != "cpu":
            self._tile = self._options.tile
            self._use(torch.device("cpu"))
        else:
            return False
        return True

    def _measure_pace(self) -> float:
        """Time one tile: seconds per multiply-add of the estimate."""
        plan = self.plan(128, 128)
        noise = np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)
        picture = Picture(gray(noise, 8), plan, self._device)
        tile = picture.to_rgb(picture.cut(0))[None]
        with torch.inference_mode():
            self._runner(tile, plan.windows)  # the first run also prepares the kernels
            start = time.perf_counter()
            self._runner(tile, plan.windows).cpu()
            return (time.perf_counter() - start) / estimate_work(plan)


def gray(plane: Plane, depth: int) -> Frame:
    """Make a gray frame of one plane (H, W)."""
    return Frame((plane,), ColorSpace.GRAY, depth)


def is_constant(plane: Plane) -> bool:
    """Say whether all values are equal."""
    return bool((plane == plane.flat[0]).all())
