from pathlib import Path

import pytest
import torch
from torch import nn

from esrt_core.errors import TargetError
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.state import EMA, LossScale, TrainingState
from tests.conftest import file_size_limit


def test_the_average_follows_quickly_at_first_and_slowly_later() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    ema = EMA(network, decay=0.9)
    nn.init.ones_(network.weight)
    ema.update(network)
    assert ema.shadow["weight"].item() == torch.tensor(1 - 2 / 11).item()
    for _ in range(200):
        ema.update(network)
    before = ema.shadow["weight"].item()
    nn.init.zeros_(network.weight)
    ema.update(network)
    assert abs(ema.shadow["weight"].item() - 0.9 * before) < 1e-6


def test_the_average_is_written_into_another_network() -> None:
    network, other = nn.Linear(2, 2), nn.Linear(2, 2)
    EMA(network, 0.9).copy_to(other)
    assert torch.equal(network.weight, other.weight)


CPU = torch.device("cpu")


def test_a_factor_that_was_halved_grows_again_and_none_leaves_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esrt_core.training.state.GROWTH", 3)
    scale = LossScale(4.0, CPU)
    factors = []
    for finite in (False, True, True, True, True, True, True, True, False, False, False, False):
        scale.adapt(finite)
        factors.append(float(scale.factor))
    assert factors == [2, 2, 2, 4, 4, 4, 4, 4, 2, 1, 1, 1]
    assert scale.is_minimal
    assert not LossScale(4.0, CPU).is_minimal


def test_a_run_goes_on_as_it_would_have_and_within_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esrt_core.training.state.GROWTH", 3)
    whole, resumed, elsewhere = LossScale(2.0**14, CPU), LossScale(2.0**14, CPU), LossScale(1.0, CPU)
    for finite in (False, True, True):
        whole.adapt(finite)
    for scale in (resumed, elsewhere):
        scale.restore(float(whole.factor), whole.finite_steps)
    for scale in (whole, resumed, elsewhere):
        scale.adapt(finite=True)
    assert [float(scale.factor) for scale in (whole, resumed, elsewhere)] == [2.0**14, 2.0**14, 1]


def test_a_full_disk_is_one_line_and_the_old_state_stays(tmp_path: Path) -> None:
    network = ESRT(ESRTConfig(2, channels=16, blocks=1))
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")
    with file_size_limit(50_000), pytest.raises(TargetError, match=r"state\.pt cannot be written: the file would be"):
        TrainingState(network, EMA(network, 0.9), LossScale(1.0, CPU)).save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
