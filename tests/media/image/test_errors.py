"""A file's fault becomes a MediaError; a bug of ours comes out as what it is, wherever it is on the way."""

import inspect
import io
import pkgutil
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFile

from esrt_core.errors import MediaError
from esrt_core.media import image
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import cicp
from esrt_core.media.image.picture import Metadata, Page, Resolution
from tests.media.pictures import animation, noise, picture, psd_file, read, run_length_sgi, saved, srgb_profile, written

DATA = {"formats", "picture"}  # tables and values, whose functions the others call
OURS = tuple(
    import_module(f"{image.__name__}.{each.name}")
    for each in pkgutil.iter_modules(image.__path__)
    if each.name not in DATA
)
BUGS = (TypeError, ValueError)


def tiff_file(**options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, **options)
    return file.getvalue()


def exif_block() -> bytes:
    tags = Image.Exif()
    tags[274] = 6
    tags[315] = "someone"
    return tags.tobytes()


@pytest.fixture(scope="module")
def sources() -> dict[str, bytes]:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
    return {
        "jpeg": saved(picture(), "JPEG", exif=exif_block(), icc_profile=srgb_profile(), xmp=packet, dpi=(72, 72)),
        "jpeg without end": saved(picture(), "JPEG")[:-2],
        "cmyk": saved(picture("CMYK"), "JPEG"),
        "palette": saved(picture("P"), "PNG", dpi=(72, 72)),
        "deep png": bytes(imagecodecs.png_encode(noise(6, 8, dtype=np.uint16))),
        "gif": animation("GIF", [40, 80], alpha=True, loop=0),
        "apng": animation("PNG", [40, 80], alpha=True),
        "webp": animation("WEBP", [40, 80], alpha=True),
        "tiff": saved(picture(), "TIFF", dpi=(72, 72)),
        "described tiff": tiff_file(
            data=noise(6, 8, 3), photometric="rgb", extratags=[(319, "2I", 6, (1, 2) * 6, True), (301, "H", 1, 9, True)]
        ),
        "avif": written([Page(Frame((noise(6, 8, 3),)))], "avif", Metadata(exif=exif_block()[6:]))[0],
        "jp2": written([Page(Frame((noise(6, 8, 3),)))], "jp2", Metadata(exif=exif_block()[6:]))[0],
        "ppm": written([Page(Frame((noise(6, 8, 3, dtype=np.uint16),), depth=16))], "ppm")[0],
        "plain ppm": b"P3 1 2 999\n1 2 3 4 5 6",
        "pfm": written([Page(Frame((noise(6, 8, 3),)))], "pfm")[0],
        "sgi": written([Page(Frame((noise(6, 8, 3, dtype=np.uint16),), depth=16))], "sgi")[0],
        "sgi of runs": run_length_sgi(),
        "psd": psd_file(noise(6, 8, 3, dtype=np.uint16), compression=1),
        "zipped psd": psd_file(noise(6, 8, 3, dtype=np.uint16), compression=2),
        "deep tiff": tiff_file(data=noise(6, 8, 3, dtype=np.uint16), photometric="rgb"),
        "float tiff": tiff_file(data=np.linspace(-1, 2, 48, dtype=np.float32).reshape(6, 8)),
    }


def results() -> None:
    rgb, gray = Frame((noise(6, 8, 3),), alpha=noise(6, 8)), Frame((noise(6, 8),), ColorSpace.GRAY)
    carried = Metadata(icc=srgb_profile(), exif=exif_block()[6:], xmp=b"<x:xmpmeta/>", resolution=Resolution(72, 72))
    deep = Frame((noise(6, 8, 3, dtype=np.uint16),), depth=16)
    for name in ("png", "jpeg", "webp", "tiff", "gif", "avif", "jp2", "ppm", "pfm", "sgi"):
        for frame in (rgb, gray, deep):
            written([Page(frame)], name, carried)
    written([Page(rgb)], "bmp", Metadata(color=cicp.CodePoints(12, 13)))
    for name in ("png", "webp", "gif"):
        written([Page(rgb, duration_ms=40.0), Page(gray, duration_ms=40.0)], name, carried)


def _functions(module: ModuleType) -> list[str]:
    found = inspect.getmembers(
        module, lambda item: isinstance(item, FunctionType) and item.__module__ == module.__name__
    )
    return [name for name, _ in found]


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module in OURS for name in _functions(module)],
    ids=lambda item: getattr(item, "__name__", item),
)
def test_a_bug_of_ours_is_never_reported_as_a_file_s_fault(
    module: ModuleType, name: str, bug: type[Exception], sources: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(module, name)
    called = []

    def broken(*_args: object, **_named: object) -> None:
        called.append(name)
        raise bug("a bug")

    for each in OURS:
        if getattr(each, name, None) is original:
            monkeypatch.setattr(each, name, broken)
    works: list[Callable[[], object]] = [*(partial(pages_of, data) for data in sources.values()), results]
    for work in works:
        called.clear()
        error = raised_by(work)
        assert (type(error) is bug) == bool(called), error


def pages_of(data: bytes) -> list[Page]:
    return list(read(data).pages)


def raised_by(work: Callable[[], object]) -> Exception | None:
    try:
        work()
    except Exception as error:  # noqa: BLE001
        return error
    return None


@pytest.mark.parametrize("fault", [TypeError, AttributeError, AssertionError, ValueError, OSError, KeyError])
@pytest.mark.parametrize(
    ("name", "patched"),
    [
        ("jpeg", (Image, "open")),
        ("jpeg", (ImageFile.ImageFile, "load")),
        ("palette", (ImageFile.ImageFile, "load")),
        ("deep png", (imagecodecs, "png_decode")),
        ("deep tiff", (tifffile.TiffPage, "asarray")),
        ("deep tiff", (tifffile, "TiffFile")),
        ("gif", (ImageFile.ImageFile, "load")),
    ],
)
def test_what_a_decoder_raises_is_the_file_s_fault(
    name: str,
    patched: tuple[object, str],
    fault: type[Exception],
    sources: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise fault("a fault")

    monkeypatch.setattr(*patched, broken)
    with pytest.raises(MediaError, match=r"standard input is truncated or damaged .*a fault"):
        list(read(sources[name]).pages)


@pytest.mark.parametrize("fault", [TypeError, ValueError, OSError, KeyError])
@pytest.mark.parametrize(
    ("name", "depth", "patched"),
    [
        ("png", 8, (Image.Image, "save")),
        ("jpeg", 8, (Image.Image, "save")),
        ("png", 16, (imagecodecs, "png_encode")),
        ("tiff", 8, (tifffile.TiffWriter, "write")),
    ],
)
def test_what_an_encoder_raises_is_a_media_error(
    name: str, depth: int, patched: tuple[object, str], fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise fault("a fault")

    monkeypatch.setattr(*patched, broken)
    frame = Frame((noise(6, 8, 3, dtype=np.uint8 if depth == 8 else np.uint16),), depth=depth)
    with pytest.raises(MediaError, match=r"cannot write the result as .*a fault"):
        written([Page(frame)], name)
