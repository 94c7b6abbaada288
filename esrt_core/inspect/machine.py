"""What this machine can do: versions, devices that were really tried, memory, and the GPU that cannot be used."""

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from esrt_core.engine.device import choose_device, choose_precision
from esrt_core.engine.native.library import load_library
from esrt_core.engine.options import EngineOptions
from esrt_core.inspect.driver import SELECTOR, Driver, TorchBuild, advice, find_driver, has_nvidia_gpu
from esrt_core.model.esrt import ESRT, ESRTConfig

PACKAGES = ("esrt-upscaler", "torch", "numpy", "pillow", "safetensors", "imageio-ffmpeg", "tifffile", "imagecodecs")
CPUINFO = Path("/proc/cpuinfo")
TOLERANCE = 0.02  # of the largest value; half precision stays far below it, a broken kernel does not


@dataclass(frozen=True)
class DeviceReport:
    """Hold one device, the precision used on it and why, and what went wrong when it was tried ("" for nothing).

    Memory is in bytes, 0 where it is unknown.
    """

    name: str
    model: str
    memory: int
    free_memory: int
    precision: str
    reason: str
    problem: str


@dataclass(frozen=True)
class MachineReport:
    """Hold what `esrt info` shows about the machine; `default_device` is what --device auto means."""

    versions: dict[str, str]
    system: str
    cores: int
    threads: int
    memory: int
    devices: tuple[DeviceReport, ...]
    default_device: str
    driver: Driver | None
    advice: str


def inspect_machine() -> MachineReport:
    """Look at the machine and try every device that torch knows."""
    driver = find_driver()
    devices = tuple(inspect_device(name) for name in device_names())
    build = TorchBuild(str(torch.__version__), torch.version.cuda or "", torch.cuda.is_available())
    rocm = torch.version.hip is not None
    return MachineReport(
        versions=package_versions(),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory=total_memory(),
        devices=devices,
        default_device=str(choose_device("auto")),
        driver=driver,
        advice=_broken(devices) or ("" if rocm else advice(driver, build, has_nvidia_gpu())),
    )


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of what the program stands on; "missing" for what is not installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found | {"CUDA of torch": torch.version.cuda or "none, a CPU build"}


def device_names() -> list[str]:
    """Return the names of all devices that torch finds."""
    names = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*names, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def inspect_device(name: str) -> DeviceReport:
    """Describe one device and try it."""
    device = torch.device(name)
    model, memory, free = _hardware(device)
    precision = choose_precision(EngineOptions(device=name), device)
    return DeviceReport(name, model, memory, free, precision, _reason(precision, device), try_device(device, precision))


def try_device(device: torch.device, precision: str) -> str:
    """Run a small network on the device; return what went wrong, "" when its result is the CPU's."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 16, 16, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ESRT(ESRTConfig(2, channels=16, blocks=1)).eval()
    dtype = torch.float16 if precision == "fp16" else torch.float32
    try:
        with torch.inference_mode():
            expected = network(x)
            found = network.to(device, dtype)(x.to(device, dtype)).float().cpu()
    except RuntimeError as error:  # torch has no narrower class for a kernel that does not run
        return str(error).strip().splitlines()[0]
    difference = float((found - expected).abs().max() / expected.abs().max())
    return "" if difference < TOLERANCE else f"its result is wrong by {100 * difference:.0f} %"


def total_memory() -> int:
    """Return the machine's memory in bytes, 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


def _broken(devices: Iterable[DeviceReport]) -> str:
    """Return what to do about devices that torch finds and that fail, "" when none does."""
    names = ", ".join(device.name for device in devices if device.problem)
    return (
        f"{names} failed when tried: use --device cpu, or choose another build of torch at {SELECTOR}." if names else ""
    )


def _cpu_name() -> str:
    """Return the processor's name, which Linux keeps in a file and Python does not read."""
    match = re.search(r"model name\s*:\s*(.+)", CPUINFO.read_text()) if CPUINFO.is_file() else None
    return match[1] if match else platform.processor() or platform.machine()


def _hardware(device: torch.device) -> tuple[str, int, int]:
    """Return a device's model, memory and free memory."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        return f"{properties.name}, compute capability {properties.major}.{properties.minor}", total, free
    if device.type == "mps":
        return "Apple GPU", torch.mps.recommended_max_memory(), 0
    library = load_library()
    form = "the network in torch" if library is None else f"the native network ({library.processor})"
    return f"{_cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, {form}", total_memory(), 0


def _reason(precision: str, device: torch.device) -> str:
    if precision == "fp16":
        return "half precision is faster on a GPU and differs by less than a grey level"
    if device.type == "cpu":
        return "half precision is no faster on most CPUs"
    return "half precision is used on CUDA devices alone"
