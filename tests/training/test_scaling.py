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


def test_a_run_goes_on_as_it_would_have_and_within_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esrt_core.training.scaling.GROWTH", 3)
    whole, resumed, elsewhere = LossScale(2.0**14, CPU), LossScale(2.0**14, CPU), LossScale(1.0, CPU)
    for finite in (False, True, True):
        whole.adapt(finite)
    for scale in (resumed, elsewhere):
        scale.restore(float(whole.factor), whole.finite_steps)
    for scale in (whole, resumed, elsewhere):
        scale.adapt(finite=True)
    assert [float(scale.factor) for scale in (whole, resumed, elsewhere)] == [2.0**14, 2.0**14, 1]
