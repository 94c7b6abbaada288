from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from esrt_core.errors import TargetError, TrainingError
from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.optimizers import build_optimizers
from esrt_core.training.state import (
    EMA,
    LossScale,
    TrainingState,
    read_state,
    restore_counters,
    restore_optimizers,
)
from tests.conftest import file_size_limit, quantized


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


def saved_by(kind: str, path: Path) -> TrainingState:
    """Return a state that is saved at `path` after one step."""
    torch.manual_seed(0)
    network = ESRT(ESRTConfig(2, channels=16, blocks=1))
    state = TrainingState(network, EMA(network, 0.9), LossScale(1.0, CPU), build_optimizers(network, kind, 1e-3, None))
    network(torch.rand(1, 3, 8, 8)).sum().backward()
    for optimizer in state.optimizers:
        optimizer.step()
    state.step, state.bicubic_psnr = 1, float("inf")
    state.save(path)
    return state


def restored(kind: str, path: Path) -> TrainingState:
    network = ESRT(ESRTConfig(2, channels=16, blocks=1))
    state = TrainingState(network, EMA(network, 0.9), LossScale(1.0, CPU), build_optimizers(network, kind, 1e-3, None))
    saved = read_state(path, CPU, state)
    restore_counters(state, saved)
    restore_optimizers(state.optimizers, saved)
    return state


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_a_saved_state_comes_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state.pt"
    before, after = saved_by(kind, path), restored(kind, path)
    assert (after.step, after.bicubic_psnr) == (1, float("inf"))
    assert all(
        torch.equal(value, after.network.state_dict()[key]) for key, value in before.network.state_dict().items()
    )
    for one, other in zip(before.optimizers, after.optimizers, strict=True):
        for value, twin in zip(one.param_groups[0]["params"], other.param_groups[0]["params"], strict=True):
            assert one.state[value].keys() == other.state[twin].keys()
            assert all(torch.equal(each, other.state[twin][key]) for key, each in one.state[value].items())


Content = dict[str, Any]


def put(*path: object, value: object) -> Callable[[Content], object]:
    """Return a change of one place in a saved state."""

    def change(content: Content) -> object:
        inner: Any = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return content

    return change


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda content: [1],
        lambda content: {"version": 1},
        put("version", value=torch.ones(2)),
        put("network", value=[]),
        put("network", "head.bias", value=torch.zeros(3)),
        put("network", "head.bias", value=torch.zeros(16, device="meta")),
        put("network", "head.bias", value=torch.zeros(16).to_sparse()),
        put("network", "head.bias", value=quantized(torch.zeros(16))),
        put("network", "more", value=torch.zeros(1)),
        put("ema", value={"updates": 1}),
        put("ema", "updates", value="1"),
        put("optimizers", value=[]),
        put("optimizers", value=None),
        put("optimizers", 0, value=7),
        put("optimizers", 0, "state", value={99999: {}}),
        put("optimizers", 0, "state", 0, value={"step": torch.tensor(1.0)}),
        put("optimizers", 0, "state", 0, "exp_avg", value=torch.zeros(7)),
        put("loss_scale", value=[1.0]),
        put("loss_scale", value=("x", 1)),
        put("counters", value=None),
        put("counters", "step", value=-1),
        put("counters", "step", value=10**400),
        put("counters", "step", value=True),
        put("counters", "seconds", value=float("nan")),
        put("counters", "best_psnr", value="30"),
        put("counters", "best_psnr", value=10**400),
        put("counters", "validated", value=1.5),
    ],
)
def test_a_state_of_wrong_types_is_refused(tmp_path: Path, change: Callable[[Content], object]) -> None:
    path = tmp_path / "state.pt"
    saved_by("adam", path)
    torch.save(change(torch.load(path, weights_only=True)), path)
    with pytest.raises(TrainingError, match=r"state\.pt is damaged, so the run cannot be resumed"):
        restored("adam", path)


def test_a_state_of_0_1_0_is_resumed_unless_it_trained_a_new_upsampler_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    saved_by("adam", path)
    saved = torch.load(path, weights_only=True)
    torch.save(put("counters", "body_rests", value=False)(saved), path)
    restored("adam", path)
    torch.save(put("counters", "body_rests", value=True)(saved), path)
    with pytest.raises(TrainingError, match="use that version to finish the run"):
        restored("adam", path)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK", b"\x80\x02}q\x00."])
def test_what_is_no_state_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
        restored("adam", path)


def test_hyperparameters_in_a_file_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    saved_by("adam", path)
    torch.save(put("optimizers", 0, "param_groups", value="nonsense")(torch.load(path, weights_only=True)), path)
    assert restored("adam", path).optimizers[0].param_groups[0]["peak"] == 1e-3


def test_a_full_disk_is_one_line_and_the_old_state_stays(tmp_path: Path) -> None:
    network = ESRT(ESRTConfig(2, channels=16, blocks=1))
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")
    with file_size_limit(50_000), pytest.raises(TargetError, match=r"state\.pt cannot be written: the file would be"):
        TrainingState(network, EMA(network, 0.9), LossScale(1.0, CPU)).save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
