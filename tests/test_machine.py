from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from esrt_core import machine
from esrt_core.machine import (
    SELECTOR,
    Driver,
    TorchBuild,
    advice,
    has_nvidia_gpu,
    inspect_device,
    inspect_machine,
    parse_nvidia_smi,
    try_device,
)
from esrt_core.model import ESRT

CPU = torch.device("cpu")


def test_the_machine_is_described() -> None:
    report = inspect_machine()
    assert report.versions["torch"] == torch.__version__
    assert report.versions["python"].startswith("3.")
    assert report.cores >= 1
    assert report.threads == torch.get_num_threads()
    assert report.devices[-1].name == "cpu"
    assert report.default_device.partition(":")[0] in {device.name.partition(":")[0] for device in report.devices}


def test_the_cpu_works_in_float32() -> None:
    report = inspect_device("cpu")
    assert (report.problem, report.precision) == ("", "fp32")
    assert "no faster" in report.reason


def test_the_cpu_says_which_network_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "load_library", lambda: None)
    assert inspect_device("cpu").model.endswith(", the network in torch")
    monkeypatch.setattr(machine, "load_library", lambda: SimpleNamespace(processor="avx2"))
    assert inspect_device("cpu").model.endswith(", the native network (avx2)")


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", ("no-such-package-here",))
    assert machine.package_versions()["no-such-package-here"] == "missing"


def test_a_kernel_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ESRT, device: torch.device, dtype: torch.dtype) -> ESRT:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")

    monkeypatch.setattr(ESRT, "to", fail)
    assert try_device(CPU, "fp32") == "CUDA error: no kernel image is available for execution on the device"


def test_a_device_that_fails_comes_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "try_device", lambda device, precision: "no kernel image")
    report = inspect_machine()
    assert report.devices[-1].problem == "no kernel image"
    assert "cpu failed the test" in report.advice
    assert SELECTOR in report.advice


def test_a_kernel_that_computes_nonsense_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ESRT.forward
    calls: list[int] = []

    def second_is_black(self: ESRT, x: Tensor, windows: tuple[int, int] = (1, 1)) -> Tensor:
        calls.append(1)
        return plain(self, x, windows) * (len(calls) == 1)

    monkeypatch.setattr(ESRT, "forward", second_is_black)
    assert try_device(CPU, "fp32") == "its result is wrong by 100 %"


def test_a_result_that_is_not_a_number_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ESRT.forward
    calls: list[int] = []

    def second_is_nan(self: ESRT, x: Tensor, windows: tuple[int, int] = (1, 1)) -> Tensor:
        calls.append(1)
        return plain(self, x, windows) * (1.0 if len(calls) == 1 else torch.nan)

    monkeypatch.setattr(ESRT, "forward", second_is_nan)
    monkeypatch.setattr(machine, "TOLERANCE", 1e9)
    assert "wrong" in try_device(CPU, "fp32")


def test_trying_a_device_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    try_device(CPU, "fp32")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_works_in_half_precision() -> None:
    report = inspect_device("cuda:0")
    assert (report.problem, report.precision) == ("", "fp16")
    assert report.memory >= report.free_memory > 0


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
        (
            Driver("550.54", "12.4"),
            CUDA_13,
            True,
            {},
            ["needs CUDA 13.0", "CUDA up to 12.4", "update", SELECTOR],
        ),
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
