"""Plans for many machines: the rules of a folder, over addresses and paths. No Ray is started."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import OptionError
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.cluster.plan import StorePlan, plan_store
from esrt_core.pipeline.cluster.run import write_failure
from esrt_core.pipeline.cluster.stages import record_of, write_record, write_result
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.selection import UpscalerPool
from tests.conftest import MakePicture, WeightsOf

IN, OUT = "memory://bucket/in", "memory://bucket/out"
Asked = Callable[..., FolderOptions]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_of: WeightsOf) -> Iterator[Asked]:
    """Return a maker of options with a network of x2; what is in the memory store goes at the end."""
    monkeypatch.chdir(tmp_path)

    def make(*inputs: str, overwrite: bool = False, compare: bool = False, **changes: object) -> FolderOptions:
        size = changes.pop("size", SizeRequest())
        upscale = UpscaleOptions(size, model=str(weights_of(2)), engine=EngineOptions(device="cpu"))  # type: ignore[arg-type]
        upscale = replace(upscale, overwrite=overwrite, compare=compare)
        return replace(FolderOptions(inputs or (IN,), OUT, upscale), **changes)  # type: ignore[arg-type]

    yield make
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def put(make_picture: MakePicture) -> Callable[..., bytes]:
    """Return a maker of pictures at addresses."""

    def put_(location: str, width: int = 20, height: int = 12) -> bytes:
        content = make_picture(f"made{Path(location).suffix}", width, height).read_bytes()
        fsspec.filesystem("memory").pipe_file(location, content)
        return content

    return put_


Put = Callable[..., bytes]


def planned(options: FolderOptions) -> StorePlan:
    return plan_store(options, UpscalerPool(options.upscale.model, options.upscale.engine))


def pairs(plan: StorePlan) -> list[tuple[str, str]]:
    return [(str(task.source), str(task.target)) for task in plan.tasks]


def do(plan: StorePlan) -> None:
    """Put something as the result of every task, as the actors would, to which it is sent."""
    for sent in plan.tasks:
        task = pickle.loads(pickle.dumps(sent))
        assert task == sent
        write_result(task, plan.job, b"result")
        write_record(task, record_of(task, plan.job, "done", b"result"))


def test_a_tree_is_mirrored_and_what_is_no_picture_is_passed_over(asked: Asked, put: Put) -> None:
    for name in ("a.png", "sub/b.jpg", ".hidden/c.png", "sub/._a.png", "Thumbs.db.png"):
        put(f"{IN}/{name}")
    for name in ("Thumbs.db", "notes.txt", "raw.nef"):
        fsspec.filesystem("memory").pipe_file(f"{IN}/{name}", b"x")
    plan = planned(asked(exclude=("Thumbs.db.*",)))
    assert pairs(plan) == [(f"{IN}/a.png", f"{OUT}/a.png"), (f"{IN}/sub/b.jpg", f"{OUT}/sub/b.jpg")]
    assert plan.skipped == {
        "hidden": 3,
        "no picture": 1,
        "camera RAW": 1,
        "left out by --include or --exclude": 1,
    }


def test_without_o_results_go_beside(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png")
    assert pairs(planned(asked(output=None))) == [(f"{IN}/a.png", f"{IN}_x2/a.png")]
    plan = planned(asked(f"{IN}/a.png", output=None))
    assert pairs(plan) == [(f"{IN}/a.png", f"{IN}/a_x2.png")]
    do(plan)
    again = planned(asked(f"{IN}/*.png", output=None))
    assert (len(again.done), again.tasks, again.skipped) == (1, [], {"own result": 1})


def test_several_folders_keep_their_names(asked: Asked, put: Put) -> None:
    put("memory://bucket/x/a.png")
    put("memory://bucket/y/a.png")
    plan = planned(asked("memory://bucket/x", "memory://bucket/y/"))
    assert [target for _, target in pairs(plan)] == [f"{OUT}/x/a.png", f"{OUT}/y/a.png"]


def test_what_is_done_is_not_done_again_unless_it_changed(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png")
    put(f"{IN}/b.png", 9, 9)
    do(planned(asked()))
    plan = planned(asked())
    assert (plan.tasks, plan.done) == ([], [f"{IN}/a.png", f"{IN}/b.png"])
    put(f"{IN}/b.png", 10, 9)
    fsspec.filesystem("memory").rm_file(f"{OUT}/a.png")
    assert [source for source, _ in pairs(planned(asked()))] == [f"{IN}/a.png", f"{IN}/b.png"]


def test_other_options_are_another_job_that_may_replace_its_own_results(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png")
    do(planned(asked()))
    other = planned(asked(size=SizeRequest(longest=33)))
    assert (len(other.tasks), other.refused) == (1, [])


def test_a_run_that_ended_between_result_and_record_redoes_one(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png")
    plan = planned(asked())
    write_result(plan.tasks[0], plan.job, b"result")
    again = planned(asked())
    assert (len(again.tasks), again.refused) == (1, [])


def test_what_somebody_else_put_there_is_not_replaced(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png")
    fsspec.filesystem("memory").pipe_file(f"{OUT}/a.png", b"mine")
    (failure,) = planned(asked()).refused
    assert failure.reason == f"{OUT}/a.png exists and is not a result of this command; use --overwrite"
    assert len(planned(asked(overwrite=True)).tasks) == 1
    fsspec.filesystem("memory").rm_file(f"{OUT}/a.png")
    fsspec.filesystem("memory").pipe_file(f"{OUT}/a_compare.png", b"mine")
    assert "a_compare.png exists" in planned(asked(compare=True)).refused[0].reason


def test_inputs_are_never_targets_and_one_target_has_one_source(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png")
    assert "is an input and is never overwritten" in planned(asked(output=IN, overwrite=True)).refused[0].reason
    jpeg = put(f"{IN}/b.jpg")
    fsspec.filesystem("memory").pipe_file(f"{IN}/b.png", jpeg)
    (failure,) = planned(asked()).refused
    assert failure.reason.startswith(f"{IN}/b.png and {IN}/b.jpg would both be written to {OUT}/b.jpg")


def test_a_broken_picture_is_refused_and_recorded(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png")
    fsspec.filesystem("memory").pipe_file(f"{IN}/b.png", b"no picture")
    plan = planned(asked())
    assert plan.refused[0].reason.startswith(f"{IN}/b.png is not in an image format")
    for root, record in plan.to_note:
        write_failure(root, record)
    again = planned(asked())
    assert [failure.source for failure in again.failed_before] == [f"{IN}/b.png"]
    assert again.to_note == []
    assert [failure.source for failure in planned(asked(retry_failed=True)).refused] == [f"{IN}/b.png"]
    put(f"{IN}/b.png")
    assert len(planned(asked()).tasks) == 2


def test_its_own_output_is_never_read(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png")
    do(planned(asked(output=f"{IN}/large")))
    again = planned(asked(output=f"{IN}/large"))
    assert (again.found, again.done) == (1, [f"{IN}/a.png"])
    assert planned(asked(output=f"{OUT}/other")).skipped == {"own result": 1}


def test_pictures_that_are_large_enough_are_counted(asked: Asked, put: Put) -> None:
    put(f"{IN}/a.png", 50, 20)
    assert planned(asked(size=SizeRequest(longest=50))).large == [f"{IN}/a.png"]


def test_paths_of_this_machine_are_the_same_for_all(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/sub/a.png")
    for name in ("in", Path("in").absolute().as_uri()):
        (task,) = planned(asked(name, output="out")).tasks
        assert task.target == Path("out/sub/a.png")
        assert task.picture.location == str(Path("in/sub/a.png").absolute())
        assert task.location_of(task.key) == str(Path("out/sub/a.png").absolute())
    assert pairs(planned(asked("in"))) == [("in/sub/a.png", f"{OUT}/sub/a.png")]


def test_results_with_records_are_known_to_a_folder_of_one_machine(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    do(planned(asked("in", output="in/large")))
    with Image.open("in/a.png") as image:
        image.save("in/large/a.png")
    plan = planned(asked("in", output="elsewhere"))
    assert [task.source for task in plan.tasks] == [Path("in/a.png")]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (("memory://bucket/gone",), "memory://bucket/gone does not exist or is empty"),
        (("memory://bucket/*.gone",), "matches nothing"),
        (("in", IN), "cannot be mixed"),
        (("gone",), "gone does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused(asked: Asked, inputs: tuple[str, ...], message: str) -> None:
    Path("in").mkdir()
    with pytest.raises(OptionError, match=message.replace("*", r"\*")):
        planned(asked(*inputs))


def test_a_bucket_has_nothing_beside_it(asked: Asked, put: Put) -> None:
    put("memory://bucket/a.png")
    with pytest.raises(OptionError, match="cannot have a sibling folder"):
        planned(asked("memory://bucket", output=None))


def test_comic_archives_are_for_one_machine(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    Path("in/book.cbz").write_bytes(b"PK")
    plan = planned(asked("in"))
    assert (len(plan.tasks), plan.skipped) == (1, {"comic archive, not read with --ray": 1})
