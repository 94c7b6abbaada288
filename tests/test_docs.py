"""What the documents say: links lead somewhere, commands parse, README's commands work."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.core import TyperGroup
from typer.exceptions import TyperException

from esrt_cli.app import app, main
from tests.conftest import MakePicture

ROOT = Path(__file__).parents[1]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")))
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page)))
    return {heading.strip().replace(" ", "-") for heading in plain}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every esrt command in a page's blocks, without the shell around it."""
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s(?:&&|\||;)\s", line.split(" #")[0].partition(">")[0]):
                words = shlex.split(part)
                while words and ("=" in words[0] or words[0] in ("OMP_NUM_THREADS=1", "torchrun")):
                    words = words[1:]
                if words and Path(words[0]).name == "esrt":
                    yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def parse(words: list[str]) -> None:
    """Parse a command line without running it; an exception says that it does not parse."""
    command, parent = typer.main.get_command(app), None
    while isinstance(command, TyperGroup):
        parent = command.make_context("esrt", list(words), parent=parent)
        _, found, words = command.resolve_command(parent, [*parent._protected_args, *parent.args])
        assert found is not None
        command = found
    command.make_context("esrt", words, parent=parent)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_parse(page: Path) -> None:
    for words in commands(page):
        try:
            parse(words)
        except typer.Exit:  # --help and the like
            continue
        except TyperException as error:
            pytest.fail(f"esrt {shlex.join(words)}: {error.format_message()}")


def test_there_are_commands_and_a_wrong_one_is_found() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 20
    with pytest.raises(TyperException):
        parse(["upscale", "photo.jpg", "--no-such-option"])


@pytest.mark.slow
def test_the_commands_for_pictures_in_the_readme_work(
    make_picture: MakePicture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_picture("photo.jpg", 60, 45)
    make_picture("old.jpg", 60, 45)
    make_picture("scan.tif", 120, 90)
    (tmp_path / "photos").mkdir()
    shutil.copy("photo.jpg", "photos")
    ran = 0
    for words in commands(ROOT / "README.md"):
        elsewhere = {"-", "mine", "--watch", "book.cbz"}  # streams, trained weights and these have tests of their own
        if words[0] not in ("upscale", "batch", "compare") or elsewhere & set(words):
            continue
        words = [word for word in words if word != "*.png"] + (["photo.jpg"] if "*.png" in words else [])
        words = ["600" if word in ("6000", "4000") else word for word in words]
        assert main([*words, "--overwrite"] if words[0] == "upscale" else words) == 0, words
        ran += 1
    assert ran >= 6
    assert Image.open("photo_x2.jpg").size == (120, 90)
    assert Image.open("scan_600w.tif").size == (600, 450)
