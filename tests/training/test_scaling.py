import pytest
import torch

from esrt_core.training.scaling import LossScale

CPU = torch.device("cpu")


def test_a_factor_that_was_halved_grows_again_and_none_leaves_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esrt_core.training.scaling.GROWTH", 3)
    scale = LossScale(4.0, CPU)
    factors = []
    for finite in (False, True, True, True, True, True, True, True, False, False, False, False):
        scale.adapt(finite)
        factors.append(float(scale.factor))
    assert factors == [2, 2, 2, 4, 4, 4, 4, 4, 2, 1, 1, 1]
    assert scale.lowest
    assert not LossScale(4.0, CPU).lowest


def test_a_saved_factor_is_gone_on_with_where_it_is_allowed() -> None:
    gpu, cpu = LossScale(2.0**14, CPU), LossScale(1.0, CPU)
    for scale in (gpu, cpu):
        scale.restore(2.0**9)
    assert (float(gpu.factor), float(cpu.factor)) == (2.0**9, 1)
