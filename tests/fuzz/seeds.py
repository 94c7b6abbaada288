"""Whole files of every kind that the program reads, made here, small, and the same in every run."""

import io
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch
from PIL import Image
from safetensors.torch import save

from esrt_core.media.image.formats import FORMATS
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.weights.header import CheckpointMetadata
from tests.media.pictures import noise, psd_file, srgb_profile

SIZE = (14, 11)
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F")
_SHAPES = ((11, 14), (11, 14, 3), (11, 14, 4))


@cache
def pictures() -> dict[str, bytes]:
    """Return pictures by file name: what Pillow writes in every mode, and what only other libraries write."""
    return dict(sorted([*_of_pillow(), *_animations(), *_deep(), *_tiffs()]))


def _of_pillow() -> Iterator[tuple[str, bytes]]:
    Image.init()
    for entry in FORMATS:
        if entry.extra is not None:
            continue
        for kind in entry.pillow[:1]:
            for mode in _MODES:
                for number, parameters in enumerate(
                    ({}, {"progressive": True, "exif": _exif(), "icc_profile": srgb_profile()})
                ):
                    data = _saved(_image(mode), kind, parameters)
                    if (kind, mode) == ("ICNS", "P"):  # which Pillow writes and cannot read
                        continue
                    if data is not None and (not number or entry.exif):
                        yield f"{kind.lower()}-{mode.replace(';', '')}-{number}{entry.extensions[0]}", data


def _image(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(noise(*SIZE[::-1], dtype=np.uint16))
    return Image.fromarray(noise(*SIZE[::-1], 3)).convert(mode)


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x011A] = 6, "a seed", 72.0
    return exif.tobytes()


def _saved(image: Image.Image, kind: str, parameters: dict[str, object]) -> bytes | None:
    file = io.BytesIO()
    try:
        image.save(file, kind, **parameters)
    except (OSError, ValueError, KeyError, TypeError, SystemError):  # this format has no such mode
        return None
    return file.getvalue()


def _animations() -> Iterator[tuple[str, bytes]]:
    frames = [Image.fromarray(noise(*SIZE[::-1], 4, seed=seed)) for seed in range(3)]
    for kind in ("PNG", "GIF", "WEBP", "AVIF"):
        data = _saved(frames[0], kind, {"save_all": True, "append_images": frames[1:], "duration": 40, "loop": 2})
        if data is not None:
            yield f"animation.{kind.lower()}", data
    still = _saved(frames[0], "PNG", {"save_all": True, "append_images": frames[1:2], "default_image": True})
    if still is not None:
        yield "default-image.png", still


def _deep() -> Iterator[tuple[str, bytes]]:
    for shape in _SHAPES:
        samples = noise(*shape, dtype=np.uint16)
        channels = 1 if len(shape) == 2 else shape[2]
        yield f"deep-{channels}.png", bytes(imagecodecs.png_encode(samples))
        yield f"deep-{channels}.jp2", bytes(imagecodecs.jpeg2k_encode(samples, level=0))
    yield "gray16.pgm", b"P5 14 11 65535\n" + noise(11, 14, dtype=np.uint16).tobytes()
    yield "plain.ppm", b"P3 2 1 255\n1 2 3 # words\n4 5 6\n"
    header = b"P7\n# words\nWIDTH 14\nHEIGHT 11\nDEPTH 2\nMAXVAL 255\nENDHDR\n"
    yield "tuples.pam", header + noise(11, 14, 2).tobytes()
    for compression in (0, 1, 2):
        yield f"deep-{compression}.psd", psd_file(noise(11, 14, 3, dtype=np.uint16), compression)
    yield "color.pfm", b"PF\n14 11\n-1.0\n" + np.linspace(0, 1, 11 * 14 * 3, dtype="<f4").tobytes()


def _tiffs() -> Iterator[tuple[str, bytes]]:
    for dtype in ("u1", "u2", "u4", "i2", "f4"):
        for shape in _SHAPES:
            yield f"{dtype}-{len(shape)}-{shape[-1]}.tif", _tiff(_samples(shape, dtype))
    color, deep = _samples((11, 14, 3), "u1"), _samples((11, 14, 3), "u2")
    for compression in ("zlib", "lzw", "packbits", "zstd", "lzma", "jpeg"):
        yield f"{compression}.tif", _tiff(color, compression=compression)
    yield "deep-lzw.tif", _tiff(deep, compression="lzw", predictor=True)
    yield "tiled.tif", _tiff(deep, tile=(16, 16))
    yield "planes.tif", _tiff(np.moveaxis(deep, -1, 0), planarconfig="separate")
    yield "big.tif", _tiff(deep, bigtiff=True)
    yield "cmyk.tif", _tiff(_samples((11, 14, 4), "u1"), photometric="separated")
    yield "pages.tif", _tiff(_samples((3, 11, 14), "u2"))
    yield "palette.tif", _tiff(_samples((11, 14), "u1"), photometric="palette", colormap=np.zeros((3, 256), np.uint16))


def _samples(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return np.linspace(-1, 2, int(np.prod(shape)), dtype=kind).reshape(shape)
    return noise(*shape, dtype=kind)


def _tiff(samples: np.ndarray, **parameters: Any) -> bytes:
    file = io.BytesIO()
    parameters.setdefault(
        "photometric", "rgb" if samples.shape[-1] in (3, 4) or samples.shape[0] == 3 else "minisblack"
    )
    if samples.shape[-1] == 4 and parameters["photometric"] == "rgb":
        parameters["extrasamples"] = ["unassalpha"]
    if samples.shape == (3, 11, 14) and "planarconfig" not in parameters:
        parameters["photometric"] = "minisblack"
    tifffile.imwrite(file, samples, metadata=None, **parameters)
    return file.getvalue()


@cache
def weights() -> dict[str, bytes]:
    """Return weights of a tiny random network by file name."""
    torch.manual_seed(0)
    network = ESRT(ESRTConfig(2, channels=16, blocks=1))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    memory = io.BytesIO()
    torch.save(state, memory)
    metadata = CheckpointMetadata(2, 16, 1, training={"steps": 1}, psnr={"Set5": 30.5})
    return {
        "ours.safetensors": save(state, metadata.to_strings()),
        "plain.safetensors": save(state),
        "a.pth": memory.getvalue(),
    }


def configuration() -> bytes:
    """Return a configuration file."""
    content = b'model = "clean"\ndevice = "cpu"\n[batch]\nskip = true\n'
    assert tomllib.loads(content.decode())
    return content


def index() -> bytes:
    """Return an index of weights."""
    row = {"name": "mine", "scale": 2, "kind": "custom", "file": "m.safetensors", "bytes": 9, "sha256": "a" * 64}
    return json.dumps({"esrt_index": 1, "weights": [{**row, "urls": ["https://h/m"], "psnr": {"S": 1.5}}]}).encode()
