"""The tree of commands: one form of help, and the same options under the same names."""

import re
from collections import defaultdict
from collections.abc import Iterator

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
# The commands that have an option; elsewhere it would mean nothing.
HAVE = {
    "--output": WORK,
    "--model": WORK,
    "--scale": WORK | {"models info", "models fetch", "models verify", "models remove", "models path"},
    "--tta": {"upscale", "batch", "video", "eval", "compare"},
    "--max-pixels": {"upscale", "batch", "eval", "compare"},
    "--device": {"upscale", "batch", "video", "train", "eval", "compare"},
    "--threads": {"upscale", "batch", "video", "train", "eval", "compare"},
    "--precision": {"upscale", "batch", "video", "eval", "compare"},
    "--tile": {"upscale", "batch", "video", "eval", "compare", "export"},
    "--name": {"upscale", "batch", "video", "train", "models import"},
    "--overwrite": {"upscale", "batch", "video", "eval", "export", "compare", "models import"},
    "--dry-run": {"upscale", "batch", "video"},
    "--progress": {"upscale", "batch", "video", "train"},
    "--json": {" ".join(path) for path, _ in COMMANDS},
    "--quiet": WORK,
    "--verbose": {"upscale", "batch", "video", "train", "eval"},
}


def options(command: TyperCommand | TyperGroup) -> list[TyperOption]:
    return [param for param in command.params if isinstance(param, TyperOption)]


@pytest.mark.parametrize(("option", "expected"), HAVE.items())
def test_commands_that_can_have_an_option_have_it(option: str, expected: set[str]) -> None:
    have = {" ".join(path) for path, command in COMMANDS for each in options(command) if option in each.opts}
    assert have == expected


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


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
def test_arguments_have_placeholders_in_capitals(path: tuple[str, ...]) -> None:
    for param in dict(COMMANDS)[path].params:
        if isinstance(param, TyperArgument):
            assert param.metavar
            assert re.fullmatch(r"[A-Z]+(\|[A-Z]+)*", param.metavar)


def test_summaries_are_sentences(run: Run) -> None:
    for _, command in EVERYTHING:
        assert re.match(r"[A-Z][^\n]*\.(\n|$)", (command.help or "").strip() + "\n")
