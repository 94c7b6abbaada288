"""Values that are taken as they come: the same as typer makes of them, and none of the wrong ones."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException
from typer.main import get_command

from esrt_cli.help import Command
from esrt_cli.params import parse_number


def values(cls: type[TyperCommand], arguments: Sequence[str]) -> dict[str, Any]:
    """Return what a command of a class is called with."""
    got: dict[str, Any] = {}
    app = typer.Typer(add_completion=False)

    @app.command(cls=cls)
    def work(
        inputs: list[str],
        number: Annotated[Decimal | None, typer.Option(parser=parse_number)] = None,
        count: Annotated[int | None, typer.Option(envvar="ESRT_TEST_COUNT")] = None,
        few: Annotated[int, typer.Option(min=1, max=9)] = 3,
        share: float | None = None,
        text: str = "auto",
        kind: Literal["bar", "json"] = "bar",
        only: list[str] | None = None,
        numbers: list[int] | None = None,
        loud: bool = False,
    ) -> None:
        got.update(locals())
        del got["got"]

    get_command(app)(list(arguments), standalone_mode=False)
    return got


@pytest.mark.parametrize(
    "arguments",
    [
        ["a"],
        ["a", "b", "--number", "2.50", "--count", "007", "--text", ""],
        ["a", "--few", "9", "--share", "0.5", "--kind", "json", "--loud"],
        ["a", "--only", "x", "--only", "y", "--numbers", "1", "--numbers", "2"],
        ["a", "--count", "-3", "--text", " 1 "],
        ["a", "--count", "1_000", "--no-loud"],
    ],
)
def test_values_are_those_of_typer(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert values(Command, arguments) == values(TyperCommand, arguments)
    monkeypatch.setenv("ESRT_TEST_COUNT", "12")
    assert values(Command, arguments) == values(TyperCommand, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "--number", "two"],
        ["a", "--count", "1.5"],
        ["a", "--count", "\u0663"],
        ["a", "--count", ""],
        ["a", "--count", "9" * 5000],
        ["a", "--few", "10"],
        ["a", "--share", "much"],
        ["a", "--kind", "dots"],
        ["a", "--numbers", "x"],
        ["a", "--unknown"],
    ],
)
def test_what_is_wrong_is_refused_in_the_words_of_typer(arguments: list[str]) -> None:
    messages = []
    for cls in (Command, TyperCommand):
        with pytest.raises(TyperException) as caught:
            values(cls, arguments)
        messages.append(caught.value.format_message())
    assert messages[0] == messages[1]
