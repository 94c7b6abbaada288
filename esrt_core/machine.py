"""Inspect the machine: versions, memory, devices tested with a small network, and why a GPU cannot be used."""

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import psutil
import torch

from esrt_core.engine.device import choose_device, choose_precision
from esrt_core.engine.native.library import load_library
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.threads import cpu_threads
from esrt_core.engine.upscaler import Upscaler
from esrt_core.media.frame import Frame
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.selection import UpscalerPool
from esrt_core.system.memory import available_bytes, total_bytes

PACKAGES = ("esrt-upscaler", "torch", "numpy", "pillow", "safetensors", "imageio-ffmpeg", "tifffile", "imagecodecs")
CPUINFO = Path("/proc/cpuinfo")
TOLERANCE = 0.02  # of the largest value; half precision is far below, a broken kernel is not
SELECTOR = "https://pytorch.org/get-started/locally"
PCI_DEVICES = Path("/sys/bus/pci/devices")
DRIVER_VERSION = Path("/proc/driver/nvidia/version")
NVIDIA = "0x10de"  # the vendor's number on the PCI bus
SPEED_SCALES = (2, 4)
SPEED_SIDES = {"cpu": 240, "gpu": 1440}  # px of a measured picture: one tile, or four
BUSY = 0.1  # of the CPU; more by other programs is said
DISPLAY = "0x03"  # the first byte of a display controller's class


@dataclass(frozen=True)
class Driver:
    """Hold the version of the NVIDIA driver and the newest CUDA version that it supports, "" if unknown."""

    version: str
    cuda: str = ""


@dataclass(frozen=True)
class TorchBuild:
    """Hold the version of torch, the CUDA version of its build ("" for a CPU build) and whether it finds a device."""

    version: str
    cuda: str
    finds_device: bool


@dataclass(frozen=True)
class DeviceReport:
    """Hold a device, the precision used on it and the reason, and what failed when it was tested ("" for nothing).

    Memory is in bytes, 0 if unknown.
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
    """Hold what `esrt info` shows about the machine; `default_device` is the one of --device auto."""

    versions: dict[str, str]
    system: str
    cores: int
    threads: int
    memory: int
    devices: tuple[DeviceReport, ...]
    default_device: str
    driver: Driver | None
    advice: str


@dataclass(frozen=True)
class SpeedReport:
    """Hold how fast this machine is: million px of results per second, by scale; `slowed` says what is in the way.

    busy  the share of the CPU that other programs took meanwhile, 0 to 1.
    """

    system: str
    device: str
    model: str
    precision: str
    threads: int
    cores: int
    megapixels_per_second: dict[int, float]
    busy: float
    slowed: tuple[str, ...]


@dataclass(frozen=True)
class Load:
    """Hold seconds of all cores since they were started: of all programs, idle, and of this process."""

    busy: float
    idle: float
    own: float

    @staticmethod
    def now() -> "Load":
        """Return the load until now."""
        times, own = psutil.cpu_times(), psutil.Process().cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted twice on Linux
        return Load(sum(times) - guests - idle, idle, own.user + own.system)

    def share_of_others(self, before: "Load") -> float:
        """Return the share of the CPU that other programs have taken since `before`, 0 to 1."""
        busy, idle, own = self.busy - before.busy, self.idle - before.idle, self.own - before.own
        return min(max((busy - own) / (busy + idle), 0.0), 1.0) if busy + idle > 0 else 0.0


def measure_machine(seconds: float = 3.0) -> SpeedReport:
    """Measure the speed of the default device with the bundled weights, for some seconds at x2 and at x4.

    Raises: DeviceError or WeightsError if they cannot be used.
    """
    before = Load.now()
    options = EngineOptions()
    pool = UpscalerPool("clean", options)
    device = choose_device(options.device)
    speeds = {scale: _megapixels_per_second(pool.upscaler(scale), seconds) for scale in SPEED_SCALES}
    busy = Load.now().share_of_others(before)
    return SpeedReport(
        system=f"{platform.system()} {platform.machine()}",
        device=str(device),
        model=_hardware(device)[0],
        precision=choose_precision(options, device),
        threads=cpu_threads(),
        cores=psutil.cpu_count() or 1,
        megapixels_per_second=speeds,
        busy=round(busy, 3),
        slowed=slowed_by(device.type, busy),
    )


def slowed_by(device: str, busy: float) -> tuple[str, ...]:
    """Return what makes a device ("cpu", "cuda") slower than it could be; `busy` is others' share of the CPU."""
    found = []
    if device == "cpu":
        library = load_library()
        if library is None:
            found.append("no compiled network (no C compiler when esrt was installed)")
        elif library.processor == "baseline":
            found.append("a processor without AVX2")
        cores = psutil.cpu_count(logical=False) or 1
        if cpu_threads() < cores:
            found.append(f"{cpu_threads()} of {cores} cores used")
    if busy > BUSY:
        found.append(f"a busy machine (other programs took {busy:.0%} of the CPU)")
    return tuple(found)


def _megapixels_per_second(upscaler: Upscaler, seconds: float) -> float:
    """Upscale noise for some seconds; return million px of results per second."""
    noise = np.random.default_rng(0)
    side = SPEED_SIDES["cpu" if upscaler.device_name == "cpu" else "gpu"]

    def upscaled() -> int:
        frame = Frame((noise.integers(0, 256, (side, side, 3), np.uint8),))  # never equal tiles
        result = upscaler.upscale(frame).frame
        return result.width * result.height

    upscaled()  # the first one also prepares kernels
    started, pixels = time.perf_counter(), 0
    while not pixels or time.perf_counter() - started < seconds:
        pixels += upscaled()
    return pixels / (time.perf_counter() - started) / 1e6


def inspect_machine() -> MachineReport:
    """Inspect the machine and test every device that torch finds."""
    driver = find_driver()
    devices = tuple(inspect_device(name) for name in device_names())
    build = TorchBuild(str(torch.__version__), torch.version.cuda or "", torch.cuda.is_available())
    rocm = torch.version.hip is not None
    return MachineReport(
        versions=package_versions(),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=psutil.cpu_count() or 1,
        threads=cpu_threads(),
        memory=total_bytes(),
        devices=devices,
        default_device=str(choose_device("auto")),
        driver=driver,
        advice=_broken(devices) or ("" if rocm else advice(driver, build, has_nvidia_gpu())),
    )


def package_versions() -> dict[str, str]:
    """Return the versions of Python and the main dependencies, "missing" for packages that are not installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found | {"CUDA of torch": torch.version.cuda or "none (CPU build)"}


def device_names() -> list[str]:
    """Return the names of all devices that torch finds."""
    names = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*names, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def inspect_device(name: str) -> DeviceReport:
    """Describe and test one device."""
    device = torch.device(name)
    model, memory, free = _hardware(device)
    precision = choose_precision(EngineOptions(device=name), device)
    return DeviceReport(name, model, memory, free, precision, _reason(precision, device), try_device(device, precision))


def try_device(device: torch.device, precision: str) -> str:
    """Run a small network on the device; return what failed, "" if its result equals the CPU's within TOLERANCE."""
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
    except RuntimeError as error:  # torch has no narrower class for a kernel that fails
        return str(error).strip().splitlines()[0]
    difference = float((found - expected).abs().max() / expected.abs().max())
    return "" if difference < TOLERANCE else f"its result is wrong by {100 * difference:.0f} %"


def find_driver() -> Driver | None:
    """Return the driver according to nvidia-smi, or to the kernel module if that is missing; None without a driver."""
    try:
        done = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=20, check=False)
        found = parse_nvidia_smi(done.stdout)
    except (OSError, subprocess.TimeoutExpired):
        found = None
    if found is None and DRIVER_VERSION.is_file():
        match = re.search(r"Kernel Module\D*([\d.]+)", DRIVER_VERSION.read_text(errors="replace"))
        return Driver(match[1] if match else "unknown")
    return found


def parse_nvidia_smi(text: str) -> Driver | None:
    """Parse the head of nvidia-smi's table; return None if it names no driver."""
    version = re.search(r"Driver Version:\s*([\d.]+)", text)
    cuda = re.search(r"CUDA (?:UMD )?Version:\s*([\d.]+)", text)
    return Driver(version[1], cuda[1] if cuda else "") if version else None


def has_nvidia_gpu(devices: Path = PCI_DEVICES) -> bool:
    """Return whether there is an NVIDIA GPU on the PCI bus, with or without a driver; False if it cannot be read."""
    vendors = devices.glob("*/vendor")
    return any(
        vendor.read_text().strip() == NVIDIA and (vendor.parent / "class").read_text().startswith(DISPLAY)
        for vendor in vendors
    )


def advice(
    driver: Driver | None, torch: TorchBuild, gpu_on_bus: bool, environment: Mapping[str, str] = os.environ
) -> str:
    """Return why an existing GPU cannot be used and what to do, "" if there is nothing to report."""
    if torch.finds_device:
        return ""
    if driver is None:
        return "there is an NVIDIA GPU but no driver: install NVIDIA's driver" if gpu_on_bus else ""
    runs = f"driver {driver.version}" + (f", which supports CUDA up to {driver.cuda}" if driver.cuda else "")
    choose = f"choose a build for CUDA {driver.cuda or 'of your driver'} or older at {SELECTOR}"
    if not torch.cuda:
        return f"there is an NVIDIA GPU ({runs}), but torch {torch.version} is built for CPUs only: {choose}"
    if _major(torch.cuda) > _major(driver.cuda or torch.cuda):
        return f"torch {torch.version} needs CUDA {torch.cuda}, too new for {runs}: update the driver, or {choose}"
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return f"CUDA_VISIBLE_DEVICES is '{hidden}', which hides the GPU: unset it"
    return f"torch {torch.version} (CUDA {torch.cuda}) finds no GPU with {runs}: restart, or update the driver"


def _major(version: str) -> int:
    return int(version.partition(".")[0] or 0)


def _broken(devices: Iterable[DeviceReport]) -> str:
    """Return what to do about devices that torch finds but that fail, "" if none does."""
    names = ", ".join(device.name for device in devices if device.problem)
    return f"{names} failed the test: use --device cpu, or choose another build of torch at {SELECTOR}" if names else ""


def _cpu_name() -> str:
    """Return the processor's name, which on Linux is in a file that Python does not read."""
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
    return f"{_cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, {form}", total_bytes(), available_bytes()


def _reason(precision: str, device: torch.device) -> str:
    if precision == "fp16":
        return "half precision is faster on a GPU and differs by less than a gray level"
    if device.type == "cpu":
        return "half precision is no faster on most CPUs"
    return "half precision is only used on CUDA devices"
