"""The networks of a folder: one for every device, or two for a CPU."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from esrt_core.pipeline.batch import pools
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.pools import make_workers
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
    assert len(make_workers(planned(with_threads(threads)))) == count
    monkeypatch.setattr(pools, "cpu_threads", lambda: threads)
    assert len(make_workers(planned(with_threads(None)))) == count


def test_a_picture_that_is_a_large_part_of_the_work_gets_all_threads(
    with_threads: WithThreads, make_picture: MakePicture
) -> None:
    make_picture("in/large.png", 24, 20)
    assert len(make_workers(planned(with_threads(2)))) == 1
