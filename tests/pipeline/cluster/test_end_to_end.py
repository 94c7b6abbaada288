"""A real Ray of two actors, and a real S3 server on loopback: `pytest -m ray`."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import RemoteError
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.plan import plan_folder
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.run import FolderResult, StopRequest, run_folder
from esrt_core.pipeline.cluster.plan import StorePlan, plan_store
from esrt_core.pipeline.cluster.run import connected, outcomes, plan_actors, run_on_ray, setup_of
from esrt_core.pipeline.cluster.stages import StoreOutcome
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.selection import UpscalerPool
from tests.conftest import MakePicture, WeightsOf

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("ray") is None or find_spec("moto") is None, reason="the extra dev-ray is not here"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of its own past and future
]

Asked = Callable[..., FolderOptions]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the address of an S3 server, for this process and the actors to come."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def cluster(server: str) -> Iterator[None]:
    """Start a Ray with two cores, small enough for any machine."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights_of: WeightsOf) -> Asked:
    """Return a maker of options for actors of one core, with a network of x2."""
    monkeypatch.chdir(tmp_path)

    def make(*inputs: str, **changes: object) -> FolderOptions:
        engine = EngineOptions(device="cpu", threads=1)
        upscale = UpscaleOptions(model=str(weights_of(2)), engine=engine)
        return replace(FolderOptions(inputs or ("in",), upscale=upscale, devices=("cpu",)), **changes)  # type: ignore[arg-type]

    return make


def pool_of(options: FolderOptions) -> UpscalerPool:
    return UpscalerPool(options.upscale.model, options.upscale.engine)


def planned(options: FolderOptions) -> StorePlan:
    return plan_store(options, pool_of(options))


def run(options: FolderOptions) -> FolderResult:
    return run_on_ray(planned(options), "auto", lambda actors: None, lambda ended: None, StopRequest())


def undisturbed(options: FolderOptions) -> dict[str, bytes]:
    """Return what `esrt batch` makes without Ray."""
    plan = plan_folder(replace(options, output="whole"), pool_of(options))
    run_folder(plan, make_workers(plan), lambda ended: None, StopRequest())
    return files("whole")


def files(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file() and ".esrt-" not in str(path))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_an_actor_that_is_killed_in_the_middle_changes_nothing(asked: Asked, make_picture: MakePicture) -> None:
    for index in range(16):
        make_picture(f"in/{index:02}.png", 120 + index, 160)
    options = asked()
    plan = planned(options)
    with connected("auto"):
        actors = plan_actors(options.devices, 1, len(plan.tasks))
        assert (actors.actors, actors.cores) == (2, 1)
        ended: list[StoreOutcome] = []
        for outcome in outcomes(plan.tasks, setup_of(plan.tasks, options, pool_of(options), actors), actors, plan.job):
            if not ended:
                os.kill(outcome.process, signal.SIGKILL)
                assert len(files("in_x2")) < 16
            ended.append(outcome)
    assert sorted(outcome.number for outcome in ended) == list(range(16))
    assert all(outcome.result is not None for outcome in ended)
    assert len({outcome.process for outcome in ended}) >= 2
    assert files("in_x2") == undisturbed(options)
    assert len(planned(options).done) == 16


def test_one_bad_picture_stops_nothing_and_is_not_tried_again(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    make_picture("in/odd #[1]? ö.jpg", 21, 13)
    whole = make_picture("in/b.png", 40, 40).read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])
    result = run(asked())
    assert (result.done, result.remaining, result.stopped) == (2, 0, None)
    assert [failure.reason.partition(" (")[0] for failure in result.failures] == ["in/b.png is truncated or damaged"]
    again = planned(asked())
    assert (len(again.done), again.tasks) == (2, [])
    assert [failure.source for failure in again.failed_before] == [Path("in/b.png")]
    assert len(planned(asked(retry_failed=True)).tasks) == 1
    Path("in/b.png").write_bytes(whole)
    assert run(asked()).done == 1
    assert len(planned(asked()).done) == 3
    assert files("in_x2") == undisturbed(asked())


def test_an_object_store_gives_and_takes(asked: Asked, make_picture: MakePicture, server: str) -> None:
    import fsspec

    store = fsspec.filesystem("s3")
    store.mkdir("s3://pictures")
    names = ["a.png", "sub/b.webp", "sub/odd #[1]? ö.jpg"]
    for index, name in enumerate(names):
        store.pipe_file(f"s3://pictures/in/{name}", make_picture(f"in/{name}", 20 + index, 12).read_bytes())
    options = asked("s3://pictures/in")
    assert run(options).done == 3
    made = {name: store.cat_file(f"s3://pictures/in_x2/{name}") for name in names}
    assert made == undisturbed(asked())
    assert len(planned(options).done) == 3
    store.pipe_file("s3://pictures/in/a.png", make_picture("in/a.png", 31, 12).read_bytes())
    store.rm_file("s3://pictures/in_x2/sub/b.webp")
    plan = planned(options)
    assert [task.source for task in plan.tasks] == ["s3://pictures/in/a.png", "s3://pictures/in/sub/b.webp"]
    assert run(options).done == 2
    assert len(planned(options).done) == 3


def test_a_bucket_that_is_not_there_is_one_line(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    with pytest.raises(RemoteError, match=r"s3://nowhere/\S+ does not exist; check the bucket and the path"):
        run(asked(output="s3://nowhere/out"))
