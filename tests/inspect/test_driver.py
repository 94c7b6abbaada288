from pathlib import Path

import pytest

from esrt_core.inspect.driver import SELECTOR, Driver, TorchBuild, advice, has_nvidia_gpu, parse_nvidia_smi

SMI = """
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|-----------------------------------------+------------------------+----------------------+
"""
CPU_BUILD = TorchBuild("2.13.0+cpu", "", False)
CUDA_13 = TorchBuild("2.13.0+cu130", "13.0", False)


def test_nvidia_smi_names_driver_and_cuda() -> None:
    assert parse_nvidia_smi(SMI) == Driver("550.54.15", "12.4")


@pytest.mark.parametrize("text", ["", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."])
def test_no_driver_is_none(text: str) -> None:
    assert parse_nvidia_smi(text) is None


@pytest.mark.parametrize(
    ("driver", "torch", "on_bus", "environment", "words"),
    [
        (Driver("550.54", "12.4"), CPU_BUILD, True, {}, ["built for CPUs only", "CUDA 12.4 or older", SELECTOR]),
        (Driver("550.54", "12.4"), CUDA_13, True, {}, ["needs CUDA 13.0", "CUDA up to 12.4", "update", SELECTOR]),
        (Driver("550.54"), CPU_BUILD, True, {}, ["built for CPUs only", "CUDA of your driver", SELECTOR]),
        (Driver("590.1", "13.1"), CUDA_13, True, {"CUDA_VISIBLE_DEVICES": ""}, ["CUDA_VISIBLE_DEVICES is ''", "unset"]),
        (Driver("590.1", "13.1"), CUDA_13, True, {}, ["finds no GPU", "restart"]),
        (Driver("550.54"), CUDA_13, True, {}, ["finds no GPU"]),
        (None, CPU_BUILD, True, {}, ["no driver"]),
    ],
)
def test_a_gpu_that_cannot_be_used_is_explained(
    driver: Driver | None, torch: TorchBuild, on_bus: bool, environment: dict[str, str], words: list[str]
) -> None:
    said = advice(driver, torch, on_bus, environment)
    assert [word for word in words if word not in said] == []


def test_nothing_is_said_without_a_gpu_or_with_one_that_works() -> None:
    assert advice(None, CPU_BUILD, False, {}) == ""
    assert advice(Driver("590.1", "13.1"), TorchBuild("2.13.0", "13.0", True), True, {}) == ""


@pytest.mark.parametrize(
    ("vendor", "kind", "found"),
    [("0x10de", "0x030000", True), ("0x10de", "0x040300", False), ("0x8086", "0x030000", False)],
)
def test_the_bus_shows_nvidias_display_controllers(tmp_path: Path, vendor: str, kind: str, found: bool) -> None:
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    assert has_nvidia_gpu(tmp_path) is found
    assert not has_nvidia_gpu(tmp_path / "none")
