"""The short mode of the fuzz suite: some cases of every kind; `python -m tests.fuzz` runs as many as one likes."""

from pathlib import Path

import pytest

from tests.fuzz import seeds
from tests.fuzz.cases import Case, run_case
from tests.fuzz.end_to_end import make_folder, problems
from tests.fuzz.mutation import mutated


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_damaged_files_end_well_or_in_one_line(tmp_path: Path, part: int) -> None:
    found = [run_case(Case(0, number), tmp_path) for number in range(part * 60, part * 60 + 60)]
    assert [finding for finding in found if finding is not None] == []


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
    import random

    data = bytes(range(256))
    assert mutated(data, random.Random("1/2")) == mutated(data, random.Random("1/2"))
    assert len({mutated(data, random.Random(f"1/{number}")) for number in range(50)}) > 40


@pytest.mark.slow
def test_a_folder_of_damaged_pictures_is_done_as_far_as_it_can_be(tmp_path: Path) -> None:
    import random

    make_folder(tmp_path / "in", random.Random("short"), 30)
    assert problems(tmp_path / "in", tmp_path / "out") == []
