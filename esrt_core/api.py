"""What Python programs use: pictures in memory in, larger ones out."""

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.media.frame import Frame
from esrt_core.pipeline.arrays import array_of_frame, frame_of_array
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.enlarge import enlarge
from esrt_core.pipeline.loss import loss_of_image
from esrt_core.pipeline.pillow import frame_of_image, image_of_frame
from esrt_core.pipeline.sizes import Number, SizeRequest, exact, plan_size
from esrt_core.progress import ProgressCallback, ignore_progress

if TYPE_CHECKING:
    Array = NDArray[Any]


class Upscaler:
    """Enlarge pictures in memory by one factor; the networks are loaded once, at the first picture.

    scale   any factor above 1 up to 16, or None for the weights' own.
    model   "clean", "photo", "drawing", the path of a weights file, or "auto": "photo" for a Pillow image that was
            opened from a JPEG of low quality, "clean" for all others and for arrays.
    device, threads, precision, tile, tta   as in `esrt_core.engine.options.EngineOptions`.

    Raise OptionError for values that cannot be, WeightsError and DeviceError for what is not there.
    """

    def __init__(
        self,
        scale: Number | None = 4,
        model: str = "auto",
        device: str = "auto",
        *,
        threads: int | None = None,
        precision: str = "auto",
        tile: int | None = None,
        tta: bool = False,
    ) -> None:
        self._size = SizeRequest(factor=None if scale is None else exact(scale, "scale"))
        self._engines = Engines(model, EngineOptions(device, threads, precision, tile, tta))

    @overload
    def upscale(self, image: Image.Image, progress: ProgressCallback = ...) -> Image.Image: ...
    @overload
    def upscale(self, image: "Array", progress: ProgressCallback = ...) -> "Array": ...
    def upscale(
        self, image: "Image.Image | Array", progress: ProgressCallback = ignore_progress
    ) -> "Image.Image | Array":
        """Return a larger picture of the kind that was given.

        A Pillow image of any mode gives L, LA, RGB, RGBA, I;16 or F and keeps dpi, EXIF, XMP and colour profile. An
        array is (H, W) or (H, W, 1) gray, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha, of uint8, uint16 or
        float32 in 0..1, and keeps its layout and type. `progress` is called with an `esrt_core.progress.Progress`
        after every batch of tiles. Raise MediaError for what is no picture.
        """
        if isinstance(image, Image.Image):
            picture = frame_of_image(image)
            return image_of_frame(self._enlarge(picture.frame, loss_of_image(image), progress), picture)
        array = np.asarray(image)
        return array_of_frame(self._enlarge(frame_of_array(array), None, progress), array.ndim)

    def _enlarge(self, frame: Frame, loss: str | None, progress: ProgressCallback) -> Frame:
        lineup = self._engines.lineups.choose(loss)
        engines = self._engines.of(lineup)
        size = plan_size(self._size, frame.width, frame.height, lineup.scales, lineup.later_scales)
        return enlarge(frame, size, engines, progress).frame


@overload
def upscale(
    image: Image.Image,
    scale: Number | None = ...,
    model: str = ...,
    device: str = ...,
    progress: ProgressCallback = ...,
) -> Image.Image: ...
@overload
def upscale(
    image: "Array", scale: Number | None = ..., model: str = ..., device: str = ..., progress: ProgressCallback = ...
) -> "Array": ...
def upscale(
    image: "Image.Image | Array",
    scale: Number | None = 4,
    model: str = "auto",
    device: str = "auto",
    progress: ProgressCallback = ignore_progress,
) -> "Image.Image | Array":
    """Enlarge one Pillow image or NumPy array; see Upscaler, which keeps its networks for more than one."""
    return Upscaler(scale, model, device).upscale(image, progress)
