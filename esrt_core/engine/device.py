"""Choose device and precision among what torch finds on the machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import DeviceError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """Return the device of a name as in EngineOptions.

    Raises: DeviceError if the machine or this torch does not have it.
    """
    if name == "auto":
        return torch.device("cuda" if _has_cuda() else "mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        _check_cuda(device, name)
    elif device.type != "cpu" and not getattr(torch, device.type).is_available():
        raise DeviceError(f"no {device.type} device is available; use --device cpu")
    return device


def cuda_devices() -> tuple[str, ...]:
    """Return the names of all CUDA devices of this machine."""
    return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count())) if _has_cuda() else ()


def choose_precision(options: EngineOptions, device: torch.device) -> str:
    """Return "fp32", "fp16" or "bf16"; "auto" means half precision only on a CUDA device."""
    if options.precision == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    return options.precision


def supports_fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device is faster in bfloat16: CUDA devices, and processors with instructions for it."""
    if device.type != "cpu":
        return device.type == "cuda"
    if not hasattr(torch.cpu, "get_capabilities"):  # older torch
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


@contextmanager
def use_torch_threads(count: int | None) -> Iterator[None]:
    """Let torch use `count` CPU threads in the block when called from this thread; None changes nothing."""
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _has_cuda() -> bool:
    return torch.cuda.is_available() and torch.cuda.device_count() > 0


def _check_cuda(device: torch.device, name: str) -> None:
    if torch.version.cuda is None and torch.version.hip is None:
        raise DeviceError(
            f"cannot use {name}: this torch ({torch.__version__}) is built for CPUs only; "
            "install a CUDA build from https://pytorch.org/get-started/locally or use --device cpu"
        )
    if not _has_cuda():
        raise DeviceError(f"cannot use {name}: torch finds no CUDA device; check the driver or use --device cpu")
    if device.index is not None and device.index >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(f"cannot use {name}: this machine has {count} CUDA device{'s' * (count != 1)}")
