"""Which device a name means, asking torch only if there may be a GPU: importing torch takes a second."""

import ctypes
import platform
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

CUDA_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def resolve_device(name: str) -> str:
    """Return the device of a name as in EngineOptions: "cpu", or another as torch names it, such as "cuda:1".

    Raises: DeviceError if the machine or this torch does not have it.
    """
    if name == "cpu" or (name == "auto" and not may_have_gpu()):
        return "cpu"
    from esrt_core.engine.device import choose_device

    return str(choose_device(name))


def device_kind(name: str) -> str:
    """Return the kind of a device: "cpu", "cuda", "mps" or "xpu"."""
    return name.partition(":")[0]


def all_cuda_devices() -> tuple[str, ...]:
    """Return the names of all CUDA devices of this machine."""
    if not may_have_gpu():
        return ()
    from esrt_core.engine.device import cuda_devices

    return cuda_devices()


def named_devices(devices: Sequence[str]) -> tuple[str, ...]:
    """Return the devices by name; "all" means every CUDA device, or "auto" if there is none."""
    if tuple(devices) != ("all",):
        return tuple(devices)
    return all_cuda_devices() or ("auto",)


@cache
def may_have_gpu() -> bool:
    """Return whether torch may find a GPU: not if it was built for CPUs, or for CUDA without a driver installed."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return True  # torch itself says what is wrong with it
    return build_finds_gpu(Path(spec.origin).with_name("version.py"))


def build_finds_gpu(version_file: Path, driver: str = CUDA_DRIVER) -> bool:
    """Return whether the build of torch that `version_file` describes may find a GPU; True if that is not known."""
    try:
        text = version_file.read_text(encoding="utf-8")
    except OSError:
        return True
    builds = dict(re.findall(r"^(cuda|hip|xpu)\b.*= *(.*?) *$", text, re.MULTILINE))
    if "cuda" not in builds or builds.get("hip", "None") != "None":
        return True
    return builds["cuda"] != "None" and _is_loadable(driver)


def _is_loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
