"""The engines of a folder: for every device, or two for a CPU."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from esrt_core.engine import device
from esrt_core.pipeline.folder_crew import make_crew, named_devices
from esrt_core.pipeline.folder_options import FolderOptions
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned

WithThreads = Callable[[int | None], FolderOptions]


@pytest.fixture
def with_threads(asked: Asked, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> WithThreads:
    """Return a maker of options for a folder of eight small pictures, with so many threads."""
    for index in range(8):
        make_picture(f"in/{index}.png", 20, 20)
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)

    def make(threads: int | None) -> FolderOptions:
        upscale = asked().upscale
        return asked(upscale=replace(upscale, engine=replace(upscale.engine, threads=threads)))

    return make


@pytest.mark.parametrize(("threads", "count"), [(1, 1), (2, 2), (3, 1), (8, 2)])
def test_a_cpu_gets_two_engines_where_its_threads_can_be_halved(
    with_threads: WithThreads, monkeypatch: pytest.MonkeyPatch, threads: int, count: int
) -> None:
    assert len(make_crew(planned(with_threads(threads)))) == count
    monkeypatch.setattr(device, "cpu_threads", lambda: threads)
    assert len(make_crew(planned(with_threads(None)))) == count


def test_a_picture_that_is_a_large_part_of_the_work_gets_all_threads(
    with_threads: WithThreads, make_picture: MakePicture
) -> None:
    make_picture("in/large.png", 24, 20)
    assert len(make_crew(planned(with_threads(2)))) == 1


def test_all_devices_are_those_that_auto_takes_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert named_devices(("all",)) == ("auto",)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert named_devices(("all",)) == ("cuda:0", "cuda:1")
    assert named_devices(("cuda:1", "cpu")) == ("cuda:1", "cpu")
