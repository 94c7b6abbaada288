"""The short mode of the fault injection; `python -m tests.fuzz.faults` disturbs every command in every way."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.faults import round_of, undisturbed

Whole = tuple[Path, dict[str, str], float]


@pytest.fixture(scope="module")
def whole() -> Iterator[Whole]:
    with undisturbed("batch") as found:
        assert len(found[1]) == 6
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["SIGKILL", "SIGTERM", "full disk", "vanishing files", "two at once"])
def test_a_disturbed_folder_ends_in_the_bytes_of_an_undisturbed_one(whole: Whole, fault: str) -> None:
    assert round_of("batch", fault, random.Random(fault), whole) == []
