"""Folders in which pictures arrive while they are watched."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from esrt_core.errors import OptionError
from esrt_core.pipeline.batch.plan import FolderPlan
from esrt_core.pipeline.batch.run import Ended, FolderResult, Packed, StopRequest
from esrt_core.pipeline.batch.watch import watch_folder
from esrt_core.selection import UpscalerPool
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, results, run


class Heard:
    """Keep what a watch reports, as words."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def watching(self) -> None:
        self.words.append("watching")

    def planned(self, plan: FolderPlan, workers: Sequence[UpscalerPool]) -> None:
        assert bool(workers) == bool(plan.tasks)
        counts = (len(plan.tasks), len(plan.done), len(plan.refused), sum(plan.skipped.values()))
        self.words.append("planned {} done {} refused {} skipped {}".format(*counts))

    def note(self, text: str) -> None:
        self.words.append(text)

    def ended(self, ended: Ended) -> None:
        assert ended.result is not None
        self.words.append(str(ended.task.source))

    def packed(self, packed: Packed) -> None:
        self.words.append(f"packed {packed.target}")

    def finished(self, result: FolderResult) -> None:
        self.words.append(f"finished {result.done}")


def watch(asked: Asked, *steps: Callable[[], object]) -> list[str]:
    """Watch `in` with one step between two looks each, then stop."""
    heard, stop, waiting = Heard(), StopRequest(), list(steps)

    def pause() -> None:
        if waiting:
            waiting.pop(0)()
        else:
            stop.request()

    watch_folder(asked(), heard, stop, pause)
    return heard.words


def nothing() -> None:
    """Let a look pass."""


@pytest.mark.slow
def test_pictures_are_upscaled_when_they_have_stopped_growing(asked: Asked, make_picture: MakePicture) -> None:
    whole = make_picture("whole.png", 40, 40).read_bytes()
    make_picture("in/a.png")
    Path("in/notes.txt").write_text("x")
    words = watch(
        asked,
        lambda: Path("in/b.png").write_bytes(whole[:500]),  # beside a.png, which is done after the second look
        lambda: Path("in/b.png").write_bytes(whole),
        nothing,
        nothing,
    )
    assert words == [
        "watching",
        "planned 1 done 0 refused 0 skipped 1",
        "in/a.png",
        "finished 1",
        "planned 1 done 0 refused 0 skipped 0",
        "in/b.png",
        "finished 1",
    ]
    assert sorted(results()) == ["a.png", "b.png"]


@pytest.mark.slow
def test_what_is_done_or_bad_is_reported_once_and_done_again_when_it_changes(
    asked: Asked, make_picture: MakePicture
) -> None:
    make_picture("in/a.png")
    Path("in/b.png").write_bytes(b"no picture")
    make_picture("whole.png")
    run(asked())
    Path("in/b.png").write_bytes(b"still no picture")
    words = watch(asked, nothing, nothing, lambda: Path("whole.png").rename("in/b.png"), nothing)
    assert words[1:] == [
        "planned 0 done 1 refused 1 skipped 0",
        "finished 0",
        "planned 1 done 0 refused 0 skipped 0",
        "in/b.png",
        "finished 1",
    ]


def test_a_comic_archive_that_arrives_is_packed(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    with zipfile.ZipFile("book.cbz", "w") as archive:
        archive.write(make_picture("page.png"), "1.png")
    words = watch(asked, nothing, lambda: Path("book.cbz").rename("in/book.cbz"), nothing, nothing, nothing)
    assert words[words.index("finished 1") + 1 :] == [
        "planned 1 done 0 refused 0 skipped 0",
        "in/book.cbz/1.png",
        "packed in_x2/book.cbz",
        "finished 1",
    ]


def test_an_empty_folder_is_waited_for(asked: Asked, make_picture: MakePicture) -> None:
    Path("in").mkdir()
    words = watch(asked, nothing, lambda: make_picture("in/a.png"), nothing)
    assert words[1:] == ["planned 1 done 0 refused 0 skipped 0", "in/a.png", "finished 1"]


def test_results_beside_the_pictures_are_not_taken_for_new_ones(asked: Asked, make_picture: MakePicture) -> None:
    make_picture("in/a.png")
    heard, stop, looks = Heard(), StopRequest(), [1, 2, 3]
    options = asked("in", output="in/large")

    def look() -> None:
        if looks:
            looks.pop()
        else:
            stop.request()

    watch_folder(options, heard, stop, look)
    assert [word for word in heard.words if word.startswith("in/")] == ["in/a.png"]
    assert heard.words[-1] == "finished 1"


def test_a_folder_that_is_missing_is_refused(asked: Asked) -> None:
    with pytest.raises(OptionError, match="in does not exist"):
        watch(asked)
