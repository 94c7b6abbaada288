"""The Python API: NumPy arrays and Pillow images in memory, and folders and clips from file to file."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import MediaError
from esrt_core.evaluation.prediction import Container
from esrt_core.media.frame import ColorSpace, Frame, Plane
from esrt_core.media.image import exif, photoshop, png, tiff_tags, xmp
from esrt_core.media.image.icc import profile_for
from esrt_core.media.image.metadata import for_size
from esrt_core.media.image.opening import decoding
from esrt_core.media.image.picture import Metadata, ReadLimits, Unit, ValueRange, resolution_of
from esrt_core.media.image.pixels import UPRIGHT, layout_of, read_page, restore, shown_size
from esrt_core.pipeline.enlarge import enlarge
from esrt_core.pipeline.sizes import Number, SizeRequest, exact, plan_size
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.selection import UpscalerPool, container_of_pillow

if TYPE_CHECKING:
    from esrt_core.pipeline.batch.run import Ended, FolderResult
    from esrt_core.pipeline.video.run import ClipResult

    Array = NDArray[Any]

DEPTHS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16, np.dtype(np.float32): 32}
_EXIF_PREFIX = b"Exif\0\0"


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


def array_of_frame(frame: Frame, dimensions: int = 3) -> NDArray[Any]:
    """Return a frame's pixels as (H, W, C), or as (H, W) if it is gray without alpha and `dimensions` is 2."""
    color: Plane = frame.planes[0]
    if color.ndim == 2 and (dimensions == 3 or frame.alpha is not None):
        color = color[..., None]
    return color if frame.alpha is None else np.concatenate([color, frame.alpha[..., None]], axis=2)


@dataclass(frozen=True)
class PillowPicture:
    """Hold a Pillow image's upright pixels, and what its larger copy keeps: metadata and the range of float values."""

    frame: Frame
    metadata: Metadata
    value_range: ValueRange | None


def frame_of_image(image: Image.Image) -> PillowPicture:
    """Return the current frame of an image in any Pillow mode, turned upright as its EXIF orientation says.

    Raises: MediaError if the image is empty or its data is damaged.
    """
    if 0 in image.size:
        raise MediaError(f"an image of {image.width} x {image.height} px has no pixels")
    is_tiff = image.format == "TIFF"
    info = _info_of_page(image) if is_tiff else image.info
    icc = info.get("icc_profile")
    turn_of_tiff = _orientation(image) if is_tiff else UPRIGHT
    block = _exif_of_tiff(image) if is_tiff else None
    with decoding("the image", ReadLimits(max_pixels=image.width * image.height)):
        image.load()  # Pillow turns a TIFF here, and finds the EXIF behind a PNG's pixels
    turn = _orientation(image)
    page = read_page(image, layout_of(image, icc), icc, turn)
    block = image.info.get("exif") or block
    turn = turn if turn != UPRIGHT else turn_of_tiff
    metadata = _metadata_of(info, block if isinstance(block, bytes) else None, page.frame, turn)
    metadata = replace(metadata, photoshop=photoshop.upright(_photoshop_of(image), turn))
    if image.mode not in ("CMYK", "LAB"):  # whose pixels are sRGB now
        metadata = replace(metadata, icc=profile_for(icc, page.frame.space))
    return PillowPicture(page.frame, metadata, page.value_range)


def _orientation(image: Image.Image) -> int:
    """Return the orientation that the pixels in memory still have; EXIF and XMP may state one that does not count."""
    if image.format == "JXL" and not getattr(image, "jpeg", None):  # turned by its decoder
        return UPRIGHT
    if image.format == "AVIF" and "exif" not in image.info:  # Pillow puts the orientation of the file there
        return UPRIGHT
    with decoding("the image", ReadLimits()):
        stated = image.getexif().get(exif.ORIENTATION)
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else UPRIGHT


def _exif_of_tiff(image: Image.Image) -> bytes | None:
    """Return the EXIF that Pillow makes of a TIFF's tags, which it can do in full only before it decodes the pixels."""
    try:
        with decoding("the image", ReadLimits()):
            block = image.getexif().tobytes()
        return exif.build(tiff_tags.described(exif.directories(block.removeprefix(_EXIF_PREFIX))))
    except MediaError:
        return None


def _info_of_page(image: Image.Image) -> dict[Any, Any]:
    """Return what Pillow knows of a page of a TIFF, without what it still has of an earlier page."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    stale = set() if tiff_tags.ICC in tags else {"icc_profile"}
    if tiff_tags.X_RESOLUTION not in tags or tags.get(tiff_tags.RESOLUTION_UNIT) == 1:
        stale.add("dpi")
    return {key: value for key, value in image.info.items() if key not in stale}


def _photoshop_of(image: Image.Image) -> bytes | None:
    """Return the image resources of Photoshop, which hold IPTC, of a TIFF or JPEG."""
    held: dict[int, Any] = getattr(image, "tag_v2", {})
    with decoding("the image", ReadLimits()):
        resources, iptc = (held.get(tag) for tag in (tiff_tags.PHOTOSHOP, tiff_tags.IPTC))
    resources = resources[0] if isinstance(resources, tuple) else resources  # as Pillow gives the type UNDEFINED
    if not isinstance(iptc, bytes):  # stored as numbers, of which Pillow gives the first alone
        iptc = None
    if isinstance(resources, bytes) or iptc is not None:
        return tiff_tags.photoshop_of(resources if isinstance(resources, bytes) else b"", iptc)
    segments = [data for name, data in getattr(image, "applist", ()) if name == "APP13"]
    start = photoshop.SEGMENT
    return b"".join(data.removeprefix(start) for data in segments if data.startswith(start)) or None


def _metadata_of(info: dict[Any, Any], block: bytes | None, upright: Frame, turn: int) -> Metadata:
    """Return EXIF, XMP and resolution as they are for the upright picture; damaged EXIF is left out."""
    stored = shown_size(upright.width, upright.height, turn)
    try:
        block = None if block is None else exif.upright(block.removeprefix(_EXIF_PREFIX), turn, *stored)
    except MediaError:
        block = None
    packet = info.get("xmp")
    packet = packet.encode() if isinstance(packet, str) else packet
    x, y = info.get("dpi") or (math.nan, math.nan)
    x, y = (float(y), float(x)) if turn >= 5 else (float(x), float(y))
    return Metadata(
        exif=block,
        xmp=xmp.upright(packet, turn, *stored) if isinstance(packet, bytes) else None,
        resolution=resolution_of(x, y, Unit.INCH),
        source_size=(upright.width, upright.height),
    )


def image_of_frame(frame: Frame, like: PillowPicture) -> Image.Image:
    """Return a frame as an image of mode L, LA, RGB, RGBA, I;16 or F, with the metadata of its source `like`.

    `info` has what `Image.save` takes by the same names: exif, xmp, icc_profile and dpi; and, if there is XMP or IPTC,
    tiffinfo, pnginfo and extra, with which alone it reaches TIFF, PNG and, as for IPTC, JPEG.
    """
    pixels = array_of_frame(frame, dimensions=2)
    if like.value_range is not None:
        pixels = restore(pixels, like.value_range)
    image = Image.fromarray(pixels)
    metadata, _ = for_size(like.metadata, frame.width, frame.height)
    kept = {
        "exif": None if metadata.exif is None else _EXIF_PREFIX + metadata.exif,
        "xmp": metadata.xmp,
        "icc_profile": metadata.icc,
        "dpi": metadata.dpi,
    }
    kept |= _further_arguments(metadata)
    image.info.update({name: value for name, value in kept.items() if value is not None})
    return image


def _further_arguments(metadata: Metadata) -> dict[str, Any]:
    """Return XMP and IPTC in the form in which the writers of TIFF, PNG and JPEG take them."""
    if metadata.xmp is None and metadata.photoshop is None:
        return {}
    tags, chunks, segments = Image.Exif(), PngImagePlugin.PngInfo(), b""
    tags.load(_EXIF_PREFIX + (metadata.exif or exif.build(exif.Directories("little", {}, {}, {}))))
    if metadata.xmp is not None:
        tags[tiff_tags.XMP] = metadata.xmp
        chunks.add(*png.xmp_chunk(xmp.text(metadata.xmp)))
    if metadata.photoshop is not None:
        tags[tiff_tags.PHOTOSHOP] = metadata.photoshop
        iptc = photoshop.iptc_of(metadata.photoshop)
        if iptc is not None:
            tags[tiff_tags.IPTC] = iptc
        chunks.add(*png.raw_profile_chunk("iptc", metadata.photoshop))
        parts = photoshop.segments(metadata.photoshop)
        segments = b"".join(b"\xff\xed" + (len(part) + 2).to_bytes(2, "big") + part for part in parts)
    return {"tiffinfo": tags, "pnginfo": chunks, "extra": segments or None}


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
        animation or a file of several pages it is the current frame. Its `info` keeps EXIF, XMP, color profile and dpi
        under the names that `Image.save` takes: `large.save("large.jpg", **large.info)`, and IPTC of a JPEG or TIFF for
        JPEG, PNG and TIFF. EXIF is for the new size and
        orientation; of a TIFF it is what Pillow gives; damaged EXIF and profiles that do not fit are left out. An
        array is (H, W) or (H, W, 1) gray, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha, of uint8, uint16 or
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
