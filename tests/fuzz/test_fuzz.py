"""The short mode of the fuzz suite: some cases of every kind; `python -m tests.fuzz` runs as many as one likes."""

import json
import random
from pathlib import Path

import pytest

from tests.fuzz import seeds
from tests.fuzz.cases import Case, run_case
from tests.fuzz.clips import clips, read_clip
from tests.fuzz.end_to_end import make_folder, problems
from tests.fuzz.mutation import mutated, mutated_json
from tests.fuzz.states import STATES


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_damaged_files_end_well_or_in_one_line(tmp_path: Path, part: int) -> None:
    found = [run_case(Case(0, number), tmp_path) for number in range(part * 60, part * 60 + 60)]
    assert [finding for finding in found if finding is not None] == []


@pytest.mark.slow
@pytest.mark.parametrize(("part", "count"), [("states", 60), ("clips", 12)])
def test_damaged_state_and_clips_end_well_or_in_one_line(tmp_path: Path, part: str, count: int) -> None:
    found = [run_case(Case(0, number, part), tmp_path) for number in range(count)]
    assert [finding for finding in found if finding is not None] == []


@pytest.mark.parametrize("kind", STATES)
def test_a_whole_state_file_is_used_as_it_is(tmp_path: Path, kind: str) -> None:
    written = STATES[kind].write(tmp_path)
    assert written.stat().st_size > 0
    STATES[kind].use(tmp_path)


def test_every_clip_is_read(tmp_path: Path) -> None:
    assert len(clips()) == 7
    for name, data in clips().items():
        (tmp_path / name).write_bytes(data)
        read_clip(tmp_path / name)


def test_damaged_json_is_other_json() -> None:
    whole = b'{"a": 1, "b": [2, {"c": "d"}], "e": null}'
    found = {mutated_json(whole, random.Random(number)) for number in range(60)}
    assert len(found) > 30
    assert all(isinstance(json.loads(each), dict | list | str | int | float | None) for each in found)


@pytest.mark.slow
def test_every_seed_is_a_file_that_is_read(tmp_path: Path) -> None:
    from esrt_core.media.image.decode import decode
    from esrt_core.media.image.picture import ReadLimits

    assert len({name.rpartition(".")[2] for name in seeds.pictures()}) >= 14
    for name, data in seeds.pictures().items():
        (tmp_path / name).write_bytes(data)
        for page in decode(tmp_path / name, ReadLimits()).pages:
            assert page.frame.width * page.frame.height > 0


def test_a_case_is_the_same_in_every_run() -> None:
    data = bytes(range(256))
    assert mutated(data, random.Random("1/2")) == mutated(data, random.Random("1/2"))
    assert len({mutated(data, random.Random(f"1/{number}")) for number in range(50)}) > 40


@pytest.mark.slow
def test_a_folder_of_damaged_pictures_is_done_as_far_as_it_can_be(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", random.Random("short"), 30)
    assert problems(tmp_path / "in", tmp_path / "out") == []
