"""The three stages one after the other in this process, as the actors of a cluster go through them."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import RemoteError, WeightsError
from esrt_core.pipeline.batch.faults import FaultCounter, append_fault
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.storage import LocalStore
from esrt_core.pipeline.cluster import run as cluster
from esrt_core.pipeline.cluster import stages
from esrt_core.pipeline.cluster.plan import StorePlan, plan_store
from esrt_core.pipeline.cluster.run import ActorSpec, setup_of
from esrt_core.pipeline.cluster.stages import (
    EnlargeRow,
    Parcel,
    Setup,
    StoreOutcome,
    WriteRow,
    packed,
    read_row,
    unpacked,
)
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, plan_upscale
from esrt_core.pipeline.image.run import upscale_picture
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.selection import UpscalerPool
from tests.conftest import MakePicture, WeightsOf

Planned = Callable[[], tuple[StorePlan, Setup]]


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_of: WeightsOf) -> Planned:
    """Return a planner of the folder `in` of the working folder, with a comparison of every picture."""
    monkeypatch.chdir(tmp_path)

    def plan() -> tuple[StorePlan, Setup]:
        upscale = UpscaleOptions(model=str(weights_of(2)), engine=EngineOptions("cpu", threads=1), compare=True)
        options = FolderOptions(("in",), "out", upscale)
        pool = UpscalerPool(upscale.model, upscale.engine)
        plan = plan_store(options, pool)
        return plan, setup_of(plan.tasks, options, pool, ActorSpec(1, 1, 0, "cpu"))

    return plan


def through(plan: StorePlan, setup: Setup, number: int = 0) -> StoreOutcome:
    read = read_row(packed(Parcel(number, plan.tasks[number])))
    outcome = unpacked(WriteRow(plan.job)(EnlargeRow(setup)(read)))
    assert isinstance(outcome, StoreOutcome)
    return outcome


def test_the_bytes_are_those_of_one_machine(planned: Planned, make_picture: MakePicture) -> None:
    make_picture("in/a.png", mode="RGBA")
    plan, setup = planned()
    outcome = through(plan, setup)
    assert outcome.result is not None
    assert (outcome.result.source, outcome.result.target) == ("in/a.png", "out/a.png")
    assert outcome.result.sheet == "out/a_compare.png"
    single = replace(plan.options.upscale, output="one/")
    pool = UpscalerPool(single.model, single.engine)
    made = upscale_picture(plan_upscale(Input(Path("in/a.png")), single, pool.selector), pool)
    assert Path("out/a.png").read_bytes() == Path(made.target).read_bytes()
    assert Path("out/a_compare.png").read_bytes() == Path(str(made.sheet)).read_bytes()
    assert planned()[0].done == [Path("in/a.png")]


def test_the_weights_of_every_pass_go_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Image.linear_gradient("L").resize((9, 8)).save("in/a.jpg", quality=60)
    upscale = UpscaleOptions(SizeRequest(factor=Fraction(6)), engine=EngineOptions("cpu", threads=1))
    options = FolderOptions(("in",), "out", upscale)
    pool = UpscalerPool(upscale.model, upscale.engine)
    plan = plan_store(options, pool)
    setup = setup_of(plan.tasks, options, pool, ActorSpec(1, 1, 0, "cpu"))
    of_all_kinds = [("clean", 2), ("clean", 3), ("drawing", 2), ("drawing", 3), ("photo", 2)]
    assert sorted(setup.weights) == of_all_kinds
    assert through(plan, setup).result is not None
    single = plan_upscale(Input(Path("in/a.jpg")), replace(upscale, output="one/"), pool.selector)
    assert Path("out/a.jpg").read_bytes() == Path(upscale_picture(single, pool).target).read_bytes()


def test_what_fails_is_an_outcome_that_says_why(planned: Planned, make_picture: MakePicture) -> None:
    whole = make_picture("in/a.png", 40, 40).read_bytes()
    Path("in/a.png").write_bytes(whole[: len(whole) // 2])
    make_picture("in/gone.png")
    plan, setup = planned()
    Path("in/gone.png").unlink()
    broken, gone = through(plan, setup), through(plan, setup, 1)
    assert broken.reason.startswith("in/a.png is truncated or damaged")
    assert (broken.lasting, broken.stops) == (True, False)
    assert gone.reason.endswith("in/gone.png cannot be read: No such file or directory")
    assert (gone.lasting, gone.stops) == (False, False)


def test_a_fault_of_the_program_comes_back_with_its_traceback(
    planned: Planned, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")
    plan, setup = planned()

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(stages, "upscale_picture", broken)
    outcome = unpacked(packed(through(plan, setup)))
    assert outcome.reason.startswith("in/a.png: a fault in esrt (ZeroDivisionError: by nothing)")
    assert (outcome.lasting, outcome.stops) == (True, False)
    assert outcome.fault.text.endswith("ZeroDivisionError: by nothing\n")
    faults = FaultCounter(append_fault)
    task = plan.tasks[0]
    Path("out").mkdir()
    for _ in range(2):
        cluster._check_fault(outcome, task, faults)
    with pytest.raises(RuntimeError, match=r"3 pictures in a row failed like in/a\.png"):
        cluster._check_fault(outcome, task, faults)
    assert Path("out/esrt-faults.log").read_text().count("ZeroDivisionError: by nothing") == 3


def test_a_store_that_takes_nothing_stops_all(
    planned: Planned, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture("in/a.png")
    plan, setup = planned()

    def refuse(store: LocalStore, location: str, content: bytes) -> None:
        raise RemoteError("no permission")

    monkeypatch.setattr(LocalStore, "write", refuse)
    assert through(plan, setup) == StoreOutcome(0, reason="no permission", stops=True)


def test_weights_that_come_damaged_are_refused(planned: Planned, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    _, setup = planned()
    (((model, scale), (file, content)),) = setup.weights.items()
    assert hashlib.sha256(content).hexdigest() == file.sha256
    with pytest.raises(WeightsError, match="arrived corrupted"):
        EnlargeRow(replace(setup, weights={(model, scale): (file, content[:-1])}))


def test_a_name_that_is_no_utf8_goes_through(planned: Planned, make_picture: MakePicture) -> None:
    make_picture("in/a.png").rename("in/\udcff.png")
    plan, setup = planned()
    assert through(plan, setup).result is not None
    assert planned()[0].done == [Path("in/\udcff.png")]
