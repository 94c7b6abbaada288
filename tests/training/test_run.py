"""Whole runs of tiny networks."""

import importlib.util
import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from esrt_core.errors import OptionError, StopError, TrainingError
from esrt_core.training import loop
from esrt_core.training.events import Notice, Started, Trained, TrainEvent, TrainObserver, Unusable, Validated
from esrt_core.training.run import train
from esrt_core.training.sampler import Batch, Sampler
from esrt_core.training.schedule import Stage
from esrt_core.training.state import LossScale
from esrt_core.training.step import Stepper, StepResult
from esrt_core.weights.checkpoint import load_checkpoint
from tests.conftest import WeightsOf
from tests.training.conftest import MakeOptions, write_pictures


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESRT_HOME", str(tmp_path / "home"))


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    saved = torch.load(folder / "state.pt", weights_only=True)
    averages = {f"ema.{name}": value for name, value in saved["ema"]["shadow"].items()}
    return {**saved["network"], **averages}


def stopper(number: signal.Signals) -> TrainObserver:
    """Return an observer that sends this process a signal at the first validation."""
    sent: list[bool] = []

    def observe(event: TrainEvent) -> None:
        if isinstance(event, Validated) and not sent:
            sent.append(True)
            signal.raise_signal(number)

    return observe


@pytest.mark.slow
def test_a_run_leaves_everything_in_its_folder(make_options: MakeOptions, tmp_path: Path) -> None:
    events: list[TrainEvent] = []
    result = train(make_options(), events.append)
    folder = tmp_path / "run"
    names = {path.name for path in folder.iterdir()}
    assert names == {"run.json", "log.csv", "curves.png", "samples", "best.safetensors", "last.safetensors", "state.pt"}
    assert result.steps == 6
    assert str(result.best) in result.sentence
    record = json.loads((folder / "run.json").read_text())
    assert record["results"]["best_psnr"] == result.best_psnr >= result.start_psnr
    assert record["data"]["training_pictures"] == 4
    assert [event.step for event in events if isinstance(event, Validated)] == [2, 4, 6]
    assert [event.step for event in events if isinstance(event, Trained)] == [2, 4, 6]
    with Image.open(folder / "samples" / "1.png") as sheet:
        assert sheet.width > sheet.height
    metadata = load_checkpoint(result.best).metadata
    assert (metadata.scale, metadata.channels, metadata.training["seed"]) == (2, 16, 0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_in_the_same_bits(
    make_options: MakeOptions, tmp_path: Path, number: signal.Signals
) -> None:
    train(make_options(out=tmp_path / "whole"))
    with pytest.raises(StopError) as stopped:
        train(make_options(), stopper(number))
    assert stopped.value.exit_code == 128 + number
    events: list[TrainEvent] = []
    train(make_options(), events.append)
    [started] = [event for event in events if isinstance(event, Started)]
    assert started.step == 3
    whole, resumed = weights_in(tmp_path / "whole"), weights_in(tmp_path / "run")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"optimizer": "muon"}, {"degrade": "photo"}, {"mse_last": 0.5, "fft_weight": 0.05}]
)
def test_every_recipe_resumes_exactly(make_options: MakeOptions, tmp_path: Path, changes: dict[str, object]) -> None:
    train(make_options(out=tmp_path / "whole", **changes))
    with pytest.raises(StopError):
        train(make_options(**changes), stopper(signal.SIGTERM))
    train(make_options(**changes))
    whole, resumed = weights_in(tmp_path / "whole"), weights_in(tmp_path / "run")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
@pytest.mark.parametrize("degrade", ["none", "photo"])
def test_new_upsamplers_are_fitted_before_the_start_is_measured(
    degrade: str,
    make_options: MakeOptions,
    weights_of: WeightsOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = (write_pictures(tmp_path / "large", 5, 120, 120)[0].parent,)
    options = make_options(sources=sources, from_scratch=False, start=str(weights_of(2)), scale=3, degrade=degrade)
    fitted = train(options).start_psnr
    monkeypatch.setattr("esrt_core.training.run.fit_upsamplers", lambda *arguments: None)
    random = train(replace(options, out=tmp_path / "random")).start_psnr
    assert fitted > random + 3


@pytest.mark.slow
def test_a_run_with_new_upsamplers_resumes_exactly(
    make_options: MakeOptions, weights_of: WeightsOf, tmp_path: Path
) -> None:
    options = make_options(from_scratch=False, start=str(weights_of(2)), scale=3)
    train(replace(options, out=tmp_path / "whole"))
    with pytest.raises(StopError):
        train(options, stopper(signal.SIGTERM))
    train(options)
    whole, resumed = weights_in(tmp_path / "whole"), weights_in(tmp_path / "run")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
def test_worse_weights_are_never_called_best(make_options: MakeOptions, weights_of: WeightsOf, tmp_path: Path) -> None:
    start = weights_of(2)
    result = train(make_options(from_scratch=False, start=str(start), lr=30.0, ema=0.0))
    assert result.last_psnr < result.start_psnr == result.best_psnr
    assert result.sentence.startswith("nothing beat the start")
    best, before = (load_checkpoint(path).network.state_dict() for path in (result.best, start))
    assert all(torch.equal(best[name], before[name]) for name in before)


@pytest.mark.slow
def test_a_run_of_a_given_time_counts_it_over_interruptions(make_options: MakeOptions) -> None:
    options = make_options(steps=None, seconds=0.6)
    with pytest.raises(StopError):
        train(options, stopper(signal.SIGTERM))
    events: list[TrainEvent] = []
    result = train(options, events.append)
    [started] = [event for event in events if isinstance(event, Started)]
    assert started.seconds > 0
    assert result.seconds >= 0.6


@pytest.mark.slow
def test_a_complete_run_is_not_trained_again_unless_it_gets_longer(make_options: MakeOptions) -> None:
    first = train(make_options())
    events: list[TrainEvent] = []
    assert train(make_options(), events.append) == first
    assert [type(event) for event in events] == [Notice]
    events.clear()
    assert train(make_options(steps=8), events.append).steps == 8
    assert [event.step for event in events if isinstance(event, Validated)] == [8]


@pytest.mark.slow
def test_a_signal_during_the_last_validation_is_heeded(make_options: MakeOptions) -> None:
    options = make_options(validations=1)
    with pytest.raises(StopError):
        train(options, stopper(signal.SIGTERM))
    assert train(options).steps == 6


@pytest.mark.slow
def test_a_run_stopped_before_its_first_step_goes_on(make_options: MakeOptions) -> None:
    def stop_at_once(event: TrainEvent) -> None:
        if isinstance(event, Started):
            signal.raise_signal(signal.SIGTERM)

    class Sent(BaseException):
        pass

    def handler(number: int, frame: object) -> None:
        raise Sent

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(Sent):
            train(make_options(), stop_at_once)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert train(make_options()).steps == 6


@pytest.mark.slow
def test_a_name_makes_the_weights_a_model_and_is_taken_once(make_options: MakeOptions, tmp_path: Path) -> None:
    assert "--model mine" in train(make_options(name="mine")).sentence
    assert len(list((tmp_path / "home").rglob("mine_x2*.safetensors"))) == 1
    assert train(make_options(name="mine", steps=8)).name == "mine"
    with pytest.raises(OptionError, match="'mine'"):
        train(make_options(name="mine", out=tmp_path / "other"))


@pytest.mark.slow
def test_what_beat_nothing_is_registered_only_by_force(
    make_options: MakeOptions, weights_of: WeightsOf, tmp_path: Path
) -> None:
    worse = {"from_scratch": False, "start": str(weights_of(2)), "lr": 30.0, "ema": 0.0, "name": "mine"}
    events: list[TrainEvent] = []
    result = train(make_options(**worse), events.append)
    assert result.name is None
    assert "--model" not in result.sentence
    assert Notice("nothing beat the start, so 'mine' is not registered; use --force to register it anyway") in events
    assert list((tmp_path / "home").rglob("mine*")) == []
    assert train(make_options(force=True, **worse)).name == "mine"
    assert len(list((tmp_path / "home").rglob("mine_x2*.safetensors"))) == 1


@pytest.mark.slow
def test_a_run_that_is_too_short_says_so_at_its_start(
    make_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[TrainEvent] = []
    train(make_options(), events.append)
    [index] = [i for i, event in enumerate(events) if isinstance(event, Notice) and "too short" in event.text]
    assert "about 6 steps" in events[index].text  # type: ignore[union-attr]
    assert not any(isinstance(event, Validated) for event in events[:index])
    monkeypatch.setattr(loop, "MIN_USEFUL_STEPS", 6)
    events.clear()
    train(make_options(seed=1, out=make_options().folder / "other"), events.append)
    assert not [event for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize("package", ["matplotlib", "threadpoolctl"])
def test_a_missing_package_is_one_sentence(
    make_options: MakeOptions, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(TrainingError, match=rf'^training needs {package}: pip install "\.\[train\]"$'):
        train(make_options())


def test_ten_skipped_steps_stop_the_run(make_options: MakeOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepper, "finish", lambda self, *begun: StepResult(float("nan"), 1.0))
    with pytest.raises(TrainingError, match="for 10 steps in a row"):
        train(make_options(steps=20))
    assert loop.MAX_SKIPPED == 10


def test_steps_that_look_for_a_lower_scale_of_the_loss_do_not_stop_the_run(
    make_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esrt_core.training.run.loss_scale", lambda device: LossScale(2.0**12, device))
    monkeypatch.setattr(Stepper, "begin", lambda self, *batch: torch.tensor([float("nan"), 1.0]))
    with pytest.raises(TrainingError, match="for 12 steps in a row"):
        train(make_options(steps=20))


@pytest.mark.slow
@pytest.mark.parametrize("saved", [True, False])  # earlier versions saved none
def test_a_run_goes_on_with_the_scale_of_the_loss_that_it_had(
    make_options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:
    scales: list[LossScale] = []

    def remembered(device: torch.device) -> LossScale:
        scales.append(LossScale(2.0**12, device))
        return scales[-1]

    monkeypatch.setattr("esrt_core.training.run.loss_scale", remembered)
    train(make_options())
    path = tmp_path / "run" / "state.pt"
    content = torch.load(path, weights_only=True)
    assert content["loss_scale"] == (2.0**12, 6)
    content["loss_scale"] = (2.0**7, 6)
    if not saved:
        del content["loss_scale"]
    torch.save(content, path)
    train(make_options(steps=8))
    assert float(scales[-1].factor) == (2.0**7 if saved else 2.0**12)


@pytest.mark.slow
def test_other_options_in_the_same_folder_are_refused(make_options: MakeOptions) -> None:
    train(make_options())
    with pytest.raises(TrainingError, match="other options"):
        train(make_options(seed=1))


def test_pictures_that_cannot_be_used_are_listed_or_refused(make_options: MakeOptions, tmp_path: Path) -> None:
    write_pictures(tmp_path / "small", 2, 12, 12)
    with pytest.raises(TrainingError, match="no usable picture"):
        train(make_options(sources=(tmp_path / "small",)))
    events: list[TrainEvent] = []
    train(make_options(sources=(tmp_path / "small", tmp_path / "pictures")), events.append)
    assert sum(isinstance(event, Unusable) for event in events) == 2


@pytest.mark.slow
def test_a_held_out_picture_that_is_damaged_is_reported_and_left_out(make_options: MakeOptions, tmp_path: Path) -> None:
    write_pictures(tmp_path / "val", 2, 40, 40)
    broken = sorted((tmp_path / "val").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-500])
    events: list[TrainEvent] = []
    result = train(make_options(val=tmp_path / "val"), events.append)
    assert [event.path for event in events if isinstance(event, Unusable)] == [broken]
    assert result.held_out == 1
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["data"]["held_out"]) == 1


@pytest.mark.slow
def test_pictures_given_to_validate_on_are_not_trained_on(make_options: MakeOptions, tmp_path: Path) -> None:
    val = tmp_path / "pictures" / "0.png"
    train(make_options(val=val))
    data = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert data["held_out"] == [str(val)]
    assert data["training_pictures"] == 4
    with pytest.raises(TrainingError, match="different"):
        train(make_options(val=tmp_path / "pictures", out=tmp_path / "other"))


@pytest.mark.slow
def test_given_small_pictures_are_used(make_options: MakeOptions, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    for index in range(5):
        Image.fromarray(np.full((34, 36, 3), 10 * index, np.uint8)).save(small / f"{index}.png")
    assert train(make_options(lr_dir=small)).bicubic_psnr < train(make_options(out=tmp_path / "made")).bicubic_psnr


@pytest.mark.slow
def test_every_step_trains_on_its_own_batch_though_it_is_drawn_before(
    make_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int, tuple[int, int]] = {}
    kept: list[object] = []
    used: list[tuple[int, int]] = []
    draw, begin = Sampler.batch, Stepper.begin

    def noting(self: Sampler, step: int, patch: int, count: int) -> Batch:
        batch = draw(self, step, patch, count)
        kept.append(batch)
        drawn[id(batch[0])] = (step, patch)
        return batch

    def spy(self: Stepper, lr: Tensor, hr: Tensor) -> Tensor:
        used.append(drawn[id(lr)])
        return begin(self, lr, hr)

    monkeypatch.setattr(Sampler, "batch", noting)
    monkeypatch.setattr(Stepper, "begin", spy)
    stages = (Stage(0.5, 8, 2), Stage(1.0, 12, 2))
    monkeypatch.setattr("esrt_core.training.run.plan_stages", lambda *arguments: stages)
    train(make_options())
    assert used == [(0, 8), (1, 8), (2, 8), (3, 12), (4, 12), (5, 12)]
