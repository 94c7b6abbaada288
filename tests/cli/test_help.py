"""The tree of commands: one form of help, and the same options under the same names.

What a command cannot have is in CANNOT, with the reason: a new command must have an option or give one.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from esrt_cli.app import app
from tests.cli.conftest import Run

ROOT = get_command(app)


def tree(
    command: object = ROOT, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    assert isinstance(command, (TyperCommand, TyperGroup))
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from tree(below, (*path, name))


EVERYTHING = list(tree())
COMMANDS = [(path, command) for path, command in EVERYTHING if not isinstance(command, TyperGroup)]
WORK = {"upscale", "batch", "video", "train", "eval", "export", "compare"}
_PROGRAM = "an exported program is plain float32, on whatever runs it"
_TRAINING = "training chooses it so that gradients are exact and memory is enough"
CANNOT = {  # why a command that works on pictures, clips or weights does not have an option
    "--output": {},
    "--model": {},
    "--scale": {},
    "--quiet": {},
    "--verbose": {},
    "--progress": {},
    "--json": {},
    "--tta": {
        "train": "validation must measure the network that is trained, not eight runs of it",
        "export": "a program is one pass of the network; its caller averages",
    },
    "--max-pixels": {"export": "it reads no picture"},
    "--device": {"export": _PROGRAM},
    "--threads": {"export": "nearly all of its time is tracing, in one thread"},
    "--precision": {"train": _TRAINING, "export": _PROGRAM},
    "--tile": {"train": f"it has patches; {_TRAINING}"},
    "--name": {
        "eval": "results and LR pictures find each other by the picture's own name",
        "export": "it writes one file, which -o names",
        "compare": "it writes one file, which -o names",
    },
    "--overwrite": {"train": "a run's folder is resumed, never replaced"},
    "--dry-run": {
        "train": "what it would do is known once it has measured its own steps",
        "eval": "nothing is written unless -o asks for it",
        "export": "it writes one file, after it was checked",
        "compare": "it writes one file, which must not exist",
    },
}
ELSEWHERE = {  # commands of the library and the machine that have one of these too
    "--scale": {"models info", "models fetch", "models verify", "models remove", "models path"},
    "--name": {"models import"},
    "--overwrite": {"models import"},
    "--json": {" ".join(path) for path, _ in COMMANDS} - WORK,
}
ONE_DEVICE = {  # why --device takes one device there; batch and video take several
    "upscale": "its pictures come one after the other, in the order in which they are named; batch shares them out",
    "train": "torchrun starts a process for each device",
    "eval": "figures belong to one device, which the first line names",
    "compare": "it has one picture, and all candidates are to be made alike",
}


def options(command: TyperCommand | TyperGroup) -> list[TyperOption]:
    return [param for param in command.params if isinstance(param, TyperOption)]


@pytest.mark.parametrize("option", CANNOT)
def test_commands_that_can_have_an_option_have_it(option: str) -> None:
    have = {" ".join(path) for path, command in COMMANDS for each in options(command) if option in each.opts}
    assert have == (WORK - CANNOT[option].keys()) | ELSEWHERE.get(option, set())


def test_commands_that_can_share_the_work_out_take_several_devices(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    have = WORK - CANNOT["--device"].keys()
    for name in have:
        more = ("-s", 2) if name == "train" else ()
        refused = "names several devices" in run(name, "in", "--device", "cuda:0,cuda:1", *more).err
        assert refused == (name in ONE_DEVICE), name


def test_an_option_has_one_short_name_and_one_kind_of_value_everywhere() -> None:
    seen: dict[str, set[tuple[str | None, bool]]] = defaultdict(set)
    for _, command in EVERYTHING:
        for option in options(command):
            (first,) = [name for name in option.opts if name.startswith("--")][:1]
            short = next((name for name in option.opts if re.fullmatch(r"-\w", name)), None)
            seen[first].add((short, option.is_flag))
    assert {name: kinds for name, kinds in seen.items() if len(kinds) > 1} == {}


@pytest.mark.parametrize("path", [path for path, _ in EVERYTHING], ids=" ".join)
def test_help_has_examples_and_placeholders_of_one_form(run: Run, path: tuple[str, ...]) -> None:
    text = run(*path, "--help").out.decode()
    assert re.search(r"^  Examples?:\n    \S", text, re.MULTILINE)
    assert "<" not in text
    assert "{" not in text.partition("\n")[0]
    assert not re.search(r"\w\.\.\.$", text.partition("\n")[2], re.MULTILINE)  # no summary is cut
    assert f"Usage: {' '.join(('esrt', *path))}" in text
    for option in options(dict(EVERYTHING)[path]):
        if not option.is_flag:
            assert option.metavar
            assert re.fullmatch(r"[A-Z]+(\|[A-Z/-]+)*|[a-z0-9]+(\|[a-z0-9]+)+", option.metavar), option.metavar


def whole_words(text: str) -> list[str]:
    """Return the words of a text that is broken at spaces, after hyphens, or as a shell's command is continued."""
    return re.sub(r" \\\n|(?<=\w-)\n\s+", "", text).split()


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("path", [path for path, _ in EVERYTHING], ids=" ".join)
def test_help_fits_every_terminal_with_whole_words(
    run: Run, path: tuple[str, ...], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    widest = run(*path, "--help").out.decode()
    monkeypatch.setenv("COLUMNS", str(columns))
    text = run(*path, "--help").out.decode()
    assert [line for line in text.splitlines() if len(line) > columns and "://" not in line] == []
    assert whole_words(text) == whole_words(widest)
    for before, after in pairwise(text.splitlines()):
        if before.endswith(" \\"):  # an example continues, as in a shell
            assert after.startswith("      ")


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_arguments_have_placeholders_in_capitals(path: tuple[str, ...]) -> None:
    for param in dict(COMMANDS)[path].params:
        if isinstance(param, TyperArgument):
            assert param.metavar
            assert re.fullmatch(r"[A-Z]+(\|[A-Z]+)*", param.metavar)


def test_summaries_are_sentences(run: Run) -> None:
    for _, command in EVERYTHING:
        assert re.match(r"[A-Z][^\n]*\.(\n|$)", (command.help or "").strip() + "\n")
