from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from esrt_core.inspect import machine
from esrt_core.inspect.driver import SELECTOR
from esrt_core.inspect.machine import inspect_device, inspect_machine, try_device
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
    assert "cpu failed when tried" in report.advice
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
