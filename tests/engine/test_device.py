import pytest
import torch

from esrt_core.engine.device import choose_device, choose_precision, supports_fast_bfloat16
from esrt_core.engine.options import EngineOptions
from esrt_core.errors import DeviceError


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    pretend_cuda(monkeypatch, 1)
    assert choose_device("auto").type == "cuda"


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch, 1)
    with pytest.raises(DeviceError, match="cannot use cuda:1"):
        choose_device("cuda:1")
    pretend_cuda(monkeypatch, 0)
    with pytest.raises(DeviceError, match="no CUDA device"):
        choose_device("cuda")


def test_a_torch_for_cpus_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(DeviceError, match="built for CPUs only"):
        choose_device("cuda")


def test_only_cuda_gets_half_precision_without_being_asked() -> None:
    assert choose_precision(EngineOptions(), torch.device("cuda")) == "fp16"
    assert choose_precision(EngineOptions(), torch.device("cpu")) == "fp32"
    assert choose_precision(EngineOptions(precision="bf16"), torch.device("cpu")) == "bf16"
    assert choose_precision(EngineOptions(precision="fp32"), torch.device("cuda")) == "fp32"


@pytest.mark.parametrize(
    ("able", "answer"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx2": True, "avx512_bf16": False}, False),
        ({"neon": True}, False),
    ],
)
def test_a_processor_says_whether_it_multiplies_bfloat16(
    able: dict[str, bool], answer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert supports_fast_bfloat16(torch.device("cpu")) is answer
    assert supports_fast_bfloat16(torch.device("cuda"))
    assert not supports_fast_bfloat16(torch.device("mps"))


def test_a_torch_that_cannot_say_means_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not supports_fast_bfloat16(torch.device("cpu"))
