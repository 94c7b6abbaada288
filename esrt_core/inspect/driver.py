"""The NVIDIA driver of this machine, and why torch may not be able to use the GPU behind it. No torch."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SELECTOR = "https://pytorch.org/get-started/locally"
PCI_DEVICES = Path("/sys/bus/pci/devices")
DRIVER_VERSION = Path("/proc/driver/nvidia/version")
NVIDIA = "0x10de"  # the vendor's number on the PCI bus
DISPLAY = "0x03"  # the first byte of a display controller's class


@dataclass(frozen=True)
class Driver:
    """Hold the driver's version and the newest CUDA version that it can run, "" where it does not say."""

    version: str
    cuda: str = ""


@dataclass(frozen=True)
class TorchBuild:
    """Hold what torch was built for (`cuda` is "" for a CPU build) and whether it finds a CUDA device."""

    version: str
    cuda: str
    finds_device: bool


def find_driver() -> Driver | None:
    """Ask nvidia-smi, and where it is missing the kernel module, for the driver; None when there is none."""
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
    """Return what the head of nvidia-smi's table says."""
    version = re.search(r"Driver Version:\s*([\d.]+)", text)
    cuda = re.search(r"CUDA (?:UMD )?Version:\s*([\d.]+)", text)
    return Driver(version[1], cuda[1] if cuda else "") if version else None


def has_nvidia_gpu(devices: Path = PCI_DEVICES) -> bool:
    """Tell whether an NVIDIA GPU sits on the PCI bus, driver or not; False where the bus cannot be read."""
    vendors = devices.glob("*/vendor")
    return any(
        vendor.read_text().strip() == NVIDIA and (vendor.parent / "class").read_text().startswith(DISPLAY)
        for vendor in vendors
    )


def advice(
    driver: Driver | None, torch: TorchBuild, gpu_on_bus: bool, environment: Mapping[str, str] = os.environ
) -> str:
    """Return why a GPU that is there cannot be used and what to do, "" when there is nothing to say."""
    if torch.finds_device:
        return ""
    if driver is None:
        return "An NVIDIA GPU is here but no driver: install NVIDIA's driver, then look again." if gpu_on_bus else ""
    runs = f"driver {driver.version}" + (f", which runs CUDA up to {driver.cuda}" if driver.cuda else "")
    choose = f"choose a build for CUDA {driver.cuda or 'of your driver'} or older at {SELECTOR}"
    if not torch.cuda:
        return f"An NVIDIA GPU is here ({runs}), but torch {torch.version} is built for CPUs only: {choose}."
    if _major(torch.cuda) > _major(driver.cuda or torch.cuda):
        return f"torch {torch.version} needs CUDA {torch.cuda}, too new for {runs}: update the driver, or {choose}."
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return f"CUDA_VISIBLE_DEVICES is '{hidden}', which hides the GPU: unset it."
    return f"torch {torch.version} (CUDA {torch.cuda}) finds no GPU behind {runs}: restart, or update the driver."


def _major(version: str) -> int:
    return int(version.partition(".")[0] or 0)
