from pathlib import Path

import pytest

from esrt_core.engine import gpu
from esrt_core.engine.gpu import all_cuda_devices, build_finds_gpu, device_kind, named_devices, resolve_device

CPU_BUILD = (
    "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\nxpu: Optional[str] = None\n"
)
CUDA_BUILD = CPU_BUILD.replace("cuda: Optional[str] = None", "cuda: Optional[str] = '13.0'")
OLD_CUDA_BUILD = "__version__ = '2.1.0'\ncuda = '12.1'\nhip = None\n"
ROCM_BUILD = CPU_BUILD.replace("hip: Optional[str] = None", "hip: Optional[str] = '6.4'")
LOADED, MISSING = "libc.so.6", "libnothing.so.99"


@pytest.mark.parametrize(
    ("text", "driver", "answer"),
    [
        (CPU_BUILD, LOADED, False),
        (CUDA_BUILD, LOADED, True),
        (CUDA_BUILD, MISSING, False),
        (OLD_CUDA_BUILD, LOADED, True),
        (OLD_CUDA_BUILD, MISSING, False),
        (ROCM_BUILD, MISSING, True),
        ("something else", MISSING, True),
    ],
)
def test_torchs_build_and_the_driver_tell_whether_it_is_worth_asking(
    tmp_path: Path, text: str, driver: str, answer: bool
) -> None:
    (tmp_path / "version.py").write_text(text)
    assert build_finds_gpu(tmp_path / "version.py", driver) is answer


def test_a_build_that_does_not_tell_is_asked(tmp_path: Path) -> None:
    assert build_finds_gpu(tmp_path / "version.py", MISSING)


def test_the_build_that_is_installed_is_read() -> None:
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        assert gpu.may_have_gpu()
    if torch.version.cuda is None and torch.version.hip is None:
        assert gpu.may_have_gpu() is torch.backends.mps.is_built()


def test_auto_asks_torch_only_if_there_may_be_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esrt_core.engine.device.choose_device", lambda name: f"{name} by torch")
    monkeypatch.setattr("esrt_core.engine.device.cuda_devices", lambda: ("cuda:0",))
    monkeypatch.setattr(gpu, "may_have_gpu", lambda: False)
    assert (resolve_device("auto"), resolve_device("cpu"), all_cuda_devices()) == ("cpu", "cpu", ())
    assert resolve_device("cuda:1") == "cuda:1 by torch"
    monkeypatch.setattr(gpu, "may_have_gpu", lambda: True)
    assert (resolve_device("auto"), resolve_device("cpu"), all_cuda_devices()) == ("auto by torch", "cpu", ("cuda:0",))


def test_a_kind_has_no_number() -> None:
    assert (device_kind("cuda:1"), device_kind("cpu")) == ("cuda", "cpu")


def test_all_devices_are_those_that_auto_takes_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esrt_core.engine.gpu.may_have_gpu", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert named_devices(("all",)) == ("auto",)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert named_devices(("all",)) == ("cuda:0", "cuda:1")
    assert named_devices(("cuda:1", "cpu")) == ("cuda:1", "cpu")
