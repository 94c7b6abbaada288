"""What a cluster has room for, and what cannot be meant. No Ray is started."""

import sys

import pytest

from esrt_core.errors import OptionError, RemoteError
from esrt_core.pipeline.cluster import run
from esrt_core.pipeline.cluster.run import ActorSpec, check_cluster_options, import_ray, plan_actors


class Machines:
    """Stand in for Ray: nodes with these resources."""

    def __init__(self, *resources: dict[str, float]) -> None:
        self._resources = resources

    def nodes(self) -> list[dict[str, object]]:
        gone = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
        return [gone, *({"Alive": True, "Resources": each} for each in self._resources)]


@pytest.mark.parametrize(
    ("resources", "devices", "threads", "actors"),
    [
        ([{"CPU": 2.0}], "auto", None, ActorSpec(1, 2, 0, "cpu")),
        ([{"CPU": 2.0}], "auto", 1, ActorSpec(2, 1, 0, "cpu")),
        ([{"CPU": 9.0}, {"CPU": 3.0}, {"CPU": 16.0}], "auto", None, ActorSpec(6, 4, 0, "cpu")),
        ([{"CPU": 9.0, "GPU": 2.0}, {"CPU": 16.0, "GPU": 1.0}], "auto", None, ActorSpec(3, 1, 1, "cuda")),
        ([{"CPU": 8.0, "GPU": 2.0}], "cpu", None, ActorSpec(2, 4, 0, "cpu")),
        ([{"CPU": 400.0}], "auto", None, ActorSpec(20, 4, 0, "cpu")),
    ],
)
def test_there_is_an_actor_for_every_gpu_or_share_of_cores(
    monkeypatch: pytest.MonkeyPatch,
    resources: list[dict[str, float]],
    devices: str,
    threads: int | None,
    actors: ActorSpec,
) -> None:
    monkeypatch.setattr(run, "import_ray", lambda: Machines(*resources))
    assert plan_actors((devices,), threads, pictures=20) == actors


@pytest.mark.parametrize(
    ("resources", "devices", "threads", "message"),
    [
        ([{"CPU": 2.0}], "cuda", None, "no machine of the cluster has a GPU"),
        ([{"CPU": 2.0}], "auto", 4, "no machine of the cluster has 4 cores"),
        ([{}], "auto", None, "no machine of the cluster has any cores"),
    ],
)
def test_what_a_cluster_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch,
    resources: list[dict[str, float]],
    devices: str,
    threads: int | None,
    message: str,
) -> None:
    monkeypatch.setattr(run, "import_ray", lambda: Machines(*resources))
    with pytest.raises(RemoteError, match=message):
        plan_actors((devices,), threads, pictures=20)


@pytest.mark.parametrize(
    ("address", "devices", "message"),
    [
        ("", ("auto",), "--ray needs a value"),
        ("ray://head:10001", ("auto",), "does not work through the Ray client"),
        ("auto", ("cuda:1",), "names a device of this machine"),
        ("auto", ("cpu", "cuda"), "names a device of this machine"),
        ("auto", ("all",), "names a device of this machine"),
    ],
)
def test_what_cannot_be_meant_is_refused(address: str, devices: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_cluster_options(address, devices)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RemoteError, match=r'pip install "\.\[ray\]"'):
        import_ray()
