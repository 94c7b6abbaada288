"""The short mode of the fault injection; `python -m tests.fuzz.faults` disturbs every command in every way."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fuzz import poison
from tests.fuzz.commands import COMMANDS
from tests.fuzz.faults import FAULTS, round_of, undisturbed

Whole = tuple[Path, dict[str, str], float]
WholeOf = Callable[[str], Whole]
SHORT = (
    *(("batch", fault) for fault in FAULTS),
    *(("export", fault) for fault in ("SIGTERM", "full disk", "little memory")),
    *(("models", fault) for fault in ("SIGKILL", "vanishing files", "removed results")),
)


@pytest.fixture(scope="module")
def whole_of() -> Iterator[WholeOf]:
    """Return a maker of undisturbed runs, one for each command."""
    with ExitStack() as stack:
        found: dict[str, Whole] = {}

        def make(name: str) -> Whole:
            if name not in found:
                found[name] = stack.enter_context(undisturbed(name))
            return found[name]

        yield make


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits and capabilities of Linux")
@pytest.mark.parametrize(("name", "fault"), SHORT)
def test_a_disturbed_run_ends_in_the_bytes_of_an_undisturbed_one(whole_of: WholeOf, name: str, fault: str) -> None:
    whole = whole_of(name)
    assert len(whole[1]) == (6 if name == "batch" else 1)
    assert round_of(name, fault, random.Random(fault), whole) == []


def test_every_command_that_makes_something_is_disturbed() -> None:
    assert set(COMMANDS) == {"upscale", "batch", "video", "train", "export", "models"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_folder_with_poison_that_is_killed_ends_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    assert poison.round_of(tmp_path, random.Random("short"), pictures=40, poison=6, kills=3) == []
