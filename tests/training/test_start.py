from pathlib import Path

import pytest
import torch

from esrt_core.errors import WeightsError
from esrt_core.training.start import FINE_TUNING, FROM_SCRATCH, NEW_UPSAMPLER, load_start
from tests.conftest import WeightsOf
from tests.training.conftest import MakeOptions


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESRT_HOME", str(tmp_path / "home"))


def test_the_seed_decides_random_weights(make_options: MakeOptions) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (load_start(make_options(seed=seed)).network.head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("asked", "used"), [("auto", "muon"), ("muon", "muon"), ("adam", "adam")])
def test_the_optimizer_brings_its_rate(asked: str, used: str, make_options: MakeOptions) -> None:
    start = load_start(make_options(optimizer=asked))
    assert (start.optimizer, start.lr) == (used, FROM_SCRATCH[used])


def test_weights_of_the_same_scale_are_taken_whole(make_options: MakeOptions, weights_of: WeightsOf) -> None:
    start = load_start(make_options(from_scratch=False, start=str(weights_of(2))))
    assert not start.new_upsampler
    assert (start.optimizer, start.lr) == ("adam", FINE_TUNING["adam"])


def test_of_another_scale_the_body_is_taken(make_options: MakeOptions, weights_of: WeightsOf) -> None:
    options = make_options(from_scratch=False, start=str(weights_of(2)), scale=3)
    start, source = load_start(options), load_start(make_options(from_scratch=False, start=str(weights_of(2))))
    assert start.new_upsampler
    assert (start.optimizer, start.lr) == ("adam", NEW_UPSAMPLER["adam"])
    assert start.network.config.scale == 3
    assert torch.equal(start.network.ltb.conv.weight, source.network.ltb.conv.weight)
    assert load_start(make_options(from_scratch=False, start=str(weights_of(2)), scale=3, lr=0.5)).lr == 0.5


def test_a_missing_or_foreign_file_is_refused(make_options: MakeOptions, tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    for name in ("missing.safetensors", "other.safetensors"):
        with pytest.raises(WeightsError, match=name):
            load_start(make_options(from_scratch=False, start=str(tmp_path / name)))
