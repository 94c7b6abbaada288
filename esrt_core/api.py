"""The Python API: NumPy arrays and Pillow images in memory, and folders and clips from file to file."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import MediaError, OptionError
from esrt_core.evaluation.prediction import Container
from esrt_core.files import atomic_write
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image.encode import encode
from esrt_core.media.image.formats import format_for_path
from esrt_core.media.image.in_memory import array_of_frame, frame_of_image, image_of_frame
from esrt_core.media.image.picture import EncodeOptions
from esrt_core.pipeline.enlarge import enlarge
from esrt_core.pipeline.sizes import Number, SizeRequest, exact, plan_size
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.selection import UpscalerPool, container_of_pillow

if TYPE_CHECKING:
    from esrt_core.pipeline.batch.run import Ended, FolderResult
    from esrt_core.pipeline.video.run import ClipResult

    Array = NDArray[Any]

DEPTHS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16, np.dtype(np.float32): 32}


def frame_of_array(array: NDArray[Any]) -> Frame:
    """Return a frame of (H, W) or (H, W, 1) gray, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha.

    uint8 and uint16 use their whole range, float32 is in 0..1.

    Raises: MediaError if the array has another type or shape, or non-finite values.
    """
    depth = DEPTHS.get(array.dtype)
    if depth is None:
        raise MediaError(f"unsupported array type {array.dtype}; use uint8, uint16 or float32 (0..1)")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise MediaError(f"unsupported array shape {array.shape}; use (H, W), (H, W, 3) or (H, W, 4)")
    if depth == 32 and not np.isfinite(array).all():
        raise MediaError("the array has NaN or infinite values; replace them first")
    if array.ndim == 2 or array.shape[2] == 1:
        return Frame((np.ascontiguousarray(array.reshape(array.shape[:2])),), ColorSpace.GRAY, depth)
    alpha = np.ascontiguousarray(array[..., 3]) if array.shape[2] == 4 else None
    return Frame((np.ascontiguousarray(array[..., :3]),), ColorSpace.RGB, depth, alpha)


class Upscaler:
    """Upscale pictures in memory by one factor; networks are loaded once, on first use.

    scale   a factor from 1 (clean up at the same size) to 16, or None for the weights' own.
    model   "clean", "photo", "drawing", the path of a weights file, or "auto": the one of these three that suits the
            pixels of each picture.
    device, threads, precision, tile, tta   as in `esrt_core.engine.options.EngineOptions`.

    The settings of the process are not changed. Call `esrt_core.system.process.configure_process()` before torch is
    imported to set what the program `esrt` sets: idle threads sleep soon, freed memory is kept for the next tile.

    Raises: OptionError if a value is invalid, WeightsError or DeviceError if the model or the device does not exist.
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
        self._size = _factor(scale)
        self._pool = UpscalerPool(model, EngineOptions(device, threads, precision, tile, tta))

    @overload
    def upscale(self, image: Image.Image, progress: ProgressCallback = ...) -> Image.Image: ...
    @overload
    def upscale(self, image: "Array", progress: ProgressCallback = ...) -> "Array": ...
    def upscale(
        self, image: "Image.Image | Array", progress: ProgressCallback = ignore_progress
    ) -> "Image.Image | Array":
        """Return a larger picture of the same kind.

        A Pillow image of any mode becomes L, LA, RGB, RGBA, I;16 or F, upright as its EXIF orientation says; of an
        animation or a file of several pages it is the current frame. `save()` of this module writes it with all that
        its file carried and the format holds. Its `info` has EXIF, XMP, color profile and dpi under the names that
        `Image.save` takes: `large.save("large.jpg", **large.info)`, and IPTC for JPEG, PNG and TIFF. EXIF is for the
        new size and orientation; damaged EXIF and profiles that do not fit are left out.

        An array is (H, W) or (H, W, 1) gray, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha, of uint8, uint16 or
        float32 in 0..1, and keeps its layout and type. `progress` is called with an `esrt_core.progress.Progress`
        after every batch of tiles.

        Raises: MediaError if the array is unsupported or the image damaged.
        """
        if isinstance(image, Image.Image):
            picture = frame_of_image(image)
            return image_of_frame(self._enlarge(picture.frame, container_of_pillow(image), progress), picture)
        array = np.asarray(image)
        return array_of_frame(self._enlarge(frame_of_array(array), Container(), progress), array.ndim)

    def _enlarge(self, frame: Frame, container: Container, progress: ProgressCallback) -> Frame:
        selector = self._pool.selector
        if self._size.cleans_up:
            selector = selector.for_cleaning()
        own = selector.plain
        size = plan_size(self._size, frame.width, frame.height, own.scales, own.later_scales)
        factor = max(Fraction(size.width, frame.width), Fraction(size.height, frame.height))
        chain = selector.choose([frame], container, factor)
        pool = self._pool.for_chain(chain)
        size = plan_size(self._size, frame.width, frame.height, chain.scales, chain.later_scales)
        return enlarge(frame, size, pool, progress).frame


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
    """Upscale one Pillow image or NumPy array; for more than one use Upscaler, which keeps its networks."""
    return Upscaler(scale, model, device).upscale(image, progress)


def save(
    image: Image.Image, path: "str | PathLike[str]", quality: int | None = None, *, overwrite: bool = True
) -> tuple[str, ...]:
    """Write an image as `esrt upscale` writes its result, with all that it carries and the format holds.

    image    of `upscale`, or any Pillow image, whose file is read for what it carries.
    path     its extension names the format.
    quality  1 to 100, or None for the format's default.

    Returns notes on what was lost or changed. What the program has changed in `image.info` counts: without "exif" there
    the file gets none.

    Raises: OptionError if the extension or the quality is invalid, MediaError if the format cannot hold the image,
    TargetError if the file cannot be written.
    """
    target = Path(path)
    entry = format_for_path(target)
    if entry is None or not entry.writable:
        raise OptionError(f"{target.name} has no extension of a format that esrt writes; use .png or .jpg")
    options = EncodeOptions(quality)
    picture = frame_of_image(image)
    with atomic_write(target, overwrite) as temporary:
        return encode([picture.page], temporary, entry.name, picture.metadata, options)


def upscale_folder(
    inputs: "str | PathLike[str] | Iterable[str | PathLike[str]]",
    output: "str | PathLike[str] | None" = None,
    scale: Number | None = 4,
    model: str = "auto",
    device: str = "auto",
    *,
    overwrite: bool = False,
    on_end: "Callable[[Ended], None]" = lambda ended: None,
) -> "FolderResult":
    """Upscale folders, files and globs of pictures as `esrt batch` does, resuming what an earlier run left.

    output  the folder of the results, or None for `<folder>_x4` beside each folder.
    scale, model, device   as for Upscaler; `device` may also be "all".
    on_end  is called for every picture that ends, with its result or its failure.

    `esrt_core.pipeline.batch.run.upscale_folder` takes all options. Pictures that fail are listed in the result.

    Raises: OptionError if an input does not exist or an option is invalid, TargetError if the results cannot be
    written, WeightsError or DeviceError if weights or device are unusable.
    """
    from esrt_core.pipeline.batch.options import FolderOptions
    from esrt_core.pipeline.batch.run import upscale_folder as run
    from esrt_core.pipeline.image.options import UpscaleOptions

    names = (inputs,) if isinstance(inputs, str | PathLike) else tuple(inputs)
    options = UpscaleOptions(
        size=_factor(scale),
        model=model,
        engine=EngineOptions("auto" if device == "all" else device),
        overwrite=overwrite,
    )
    folder = FolderOptions(
        tuple(fspath(name) for name in names), None if output is None else fspath(output), options, devices=(device,)
    )
    return run(folder, _OnEnd(on_end))


class _OnEnd:
    """Listen to the pictures that end, and to nothing else."""

    def __init__(self, on_end: "Callable[[Ended], None]") -> None:
        self.ended = on_end

    def planned(self, plan: object, workers: object) -> None:
        """Ignore the plan; the result and the pictures tell enough."""

    def note(self, text: str) -> None:
        """Ignore notes about the weights."""

    def packed(self, packed: object) -> None:
        """Ignore archives, whose pages are reported."""


def upscale_clip(
    clip: "str | PathLike[str]",
    output: "str | PathLike[str] | None" = None,
    scale: Number | None = 2,
    model: str = "auto",
    device: str = "auto",
    *,
    overwrite: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> "ClipResult":
    """Upscale a clip with its sound, timing and colors as `esrt video` does, resuming what an earlier run left.

    output  a file, or a folder if it ends in a slash; None for beside the clip.
    scale, model, device   as for Upscaler.

    `esrt_core.pipeline.video.run` takes all options.

    Raises: MediaError if the clip cannot be read, OptionError if an option is invalid, TargetError if the result cannot
    be written, WeightsError or DeviceError if weights or device are unusable.
    """
    from esrt_core.pipeline.video.options import VideoOptions
    from esrt_core.pipeline.video.run import prepare_clip
    from esrt_core.pipeline.video.run import upscale_clip as run

    engine = EngineOptions(device)
    target = None if output is None else fspath(output)
    options = VideoOptions(_factor(scale), target, model, engine, overwrite=overwrite)
    pool = UpscalerPool(model, engine)
    return run(prepare_clip(Path(clip), options, pool), pool, progress)


def _factor(scale: Number | None) -> SizeRequest:
    return SizeRequest(factor=None if scale is None else exact(scale, "scale"))
