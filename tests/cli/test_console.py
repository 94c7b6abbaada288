"""Lines for people."""

import io
import sys

import pytest

from esrt_cli.console import Console, prepare_streams, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Ünïcode [red]", "plain Ünïcode [red]"),
        ("two\nlines\x1b[31m", r"two\nlines\x1b[31m"),
        (b"caf\xe9.png".decode("utf-8", "surrogateescape"), r"caf\udce9.png"),
    ],
)
def test_a_name_stays_on_its_line_whatever_it_holds(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_quiet_leaves_errors_and_records(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True, verbose=True)
    for say in (console.result, console.note, console.detail):
        say("hidden")
    console.record("{}")
    console.error("shown")
    assert capsys.readouterr() == ("{}\n", "error: shown\n")


def test_nothing_but_the_picture_goes_to_a_piped_output(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(piped=True)
    console.result("result")
    console.record("{}")
    assert capsys.readouterr() == ("", "result\n{}\n")


def test_characters_that_an_encoding_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    prepare_streams()
    Console().result("größer")
    assert stream.buffer.getvalue() == b"gr\\xf6\\xdfer\n"


def test_a_bar_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Console().shows_progress()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert Console().shows_progress()
    assert not Console(quiet=True).shows_progress()
    monkeypatch.setenv("TERM", "dumb")
    assert not Console().shows_progress()
