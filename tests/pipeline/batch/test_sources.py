"""Finding pictures in folders."""

import os
from pathlib import Path

import pytest

from esrt_core.errors import OptionError
from esrt_core.pipeline.batch.manifest import Entry, Manifest
from esrt_core.pipeline.batch.sources import EXCLUDED, HIDDEN, OWN, RAW, Filter, Findings
from esrt_core.pipeline.batch.sources import find_sources as find
from esrt_core.pipeline.batch.storage import LINK, NO_PICTURE

ALL = Filter()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder `in`, and work beside it."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    return Path("in")


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def relative_path(findings: Findings) -> list[str]:
    return [found.relative_path.as_posix() for found in findings.pictures]


def test_a_tree_is_mirrored_beside_itself(tree: Path) -> None:
    touch("in/b.png", "in/sub/deep/a.JPG", "in/a.tif")
    findings = find(["in"], None, "x4", ALL)
    assert relative_path(findings) == ["a.tif", "b.png", "sub/deep/a.JPG"]
    assert {found.root.name for found in findings.pictures} == {"in_x4"}
    assert not any(found.alongside for found in findings.pictures)


def test_the_folder_one_is_in_has_a_name_too(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch("in/a.png")
    monkeypatch.chdir("in")
    (found,) = find(["."], None, "x4", ALL).pictures
    assert found.root.location == str(Path.cwd().with_name("in_x4"))


def test_single_files_and_globs_go_beside_themselves(tree: Path) -> None:
    touch("in/a.png", "in/b.png", "c.png")
    findings = find(["in/*.png", "c.png"], None, "x4", ALL)
    assert [(found.source, found.root.name, found.alongside) for found in findings.pictures] == [
        (Path("c.png"), ".", True),
        (Path("in/a.png"), "in", True),
        (Path("in/b.png"), "in", True),
    ]


def test_several_folders_keep_their_names_in_one_output(tree: Path) -> None:
    touch("in/a.png", "other/a.png", "b.png")
    findings = find(["in", "other", "b.png"], "out", "x4", ALL)
    assert sorted(relative_path(findings)) == ["b.png", "in/a.png", "other/a.png"]


def test_what_is_no_picture_is_passed_over_and_counted(tree: Path) -> None:
    touch("in/.h.png", "in/._a.png", "in/.git/a.png", "in/Thumbs.db", "in/a.txt", "in/a", "in/a.CR2", "in/a.png")
    findings = find(["in"], None, "x4", ALL)
    assert relative_path(findings) == ["a.png"]
    assert findings.skipped == {HIDDEN: 4, NO_PICTURE: 2, RAW: 1}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(include=("*.png",)), ["a.png", "sub/c.png"]),
        (Filter(include=("sub/*",)), ["sub/c.png", "sub/d.jpg"]),
        (Filter(exclude=("sub",)), ["a.png", "b.jpg"]),
        (Filter(exclude=("*.jpg",)), ["a.png", "sub/c.png"]),
        (Filter(include=("*.png",), exclude=("a.*",)), ["sub/c.png"]),
    ],
)
def test_globs_choose(tree: Path, wanted: Filter, names: list[str]) -> None:
    touch("in/a.png", "in/b.jpg", "in/sub/c.png", "in/sub/d.jpg")
    findings = find(["in"], None, "x4", wanted)
    assert relative_path(findings) == names
    assert findings.skipped[EXCLUDED] >= 1


def test_links_are_followed_once_and_loops_survived(tree: Path) -> None:
    touch("in/z/a.png", "elsewhere/b.png", "elsewhere/c.png")
    Path("in/a_link").symlink_to("z")
    Path("in/z/up").symlink_to("..")
    Path("in/out").symlink_to(Path("elsewhere").resolve())
    Path("in/again.png").symlink_to(Path("elsewhere/b.png").resolve())
    Path("in/gone.png").symlink_to("nowhere.png")
    Path("in/self.png").symlink_to("self.png")
    findings = find(["in"], None, "x4", ALL)
    assert relative_path(findings) == ["out/b.png", "out/c.png", "z/a.png"]
    assert findings.skipped == {LINK: 3}


def test_a_link_to_a_picture_elsewhere_is_a_picture(tree: Path) -> None:
    touch("elsewhere/b.png")
    Path("in/a.png").symlink_to(Path("elsewhere/b.png").resolve())
    Path("in/b.png").symlink_to(Path("elsewhere/b.png").resolve())
    assert relative_path(find(["in"], None, "x4", ALL)) == ["a.png"]


def test_a_folder_given_twice_is_taken_once(tree: Path) -> None:
    touch("in/a.png")
    assert relative_path(find(["in", "in"], None, "x4", ALL)) == ["a.png"]


def test_results_are_never_read(tree: Path) -> None:
    touch("in/a.png", "in/a_x4.png", "in/old_x4/b.png", "in/old_x4/kept.png", "in/out/c.png")
    Manifest(Path("in")).add(Entry("done", "job", "a.png", "1 2", "a_x4.png", 1))
    Manifest(Path("in/old_x4")).add(Entry("done", "job", "../old/b.png", "1 2", "b.png", 1))
    findings = find(["in"], "in/out", "x4", ALL)
    assert relative_path(findings) == ["a.png", "old_x4/kept.png"]
    assert findings.skipped == {OWN: 2}
    assert relative_path(find(["in/*.png"], None, "x4", ALL)) == ["a.png"]


def test_a_folder_of_results_may_be_named_as_input(tree: Path) -> None:
    touch("in_x4/a.png")
    Manifest(Path("in_x4")).add(Entry("done", "job", "../in/a.png", "1 2", "a.png", 1))
    assert relative_path(find(["in_x4"], None, "x4", ALL)) == ["a.png"]


def test_odd_names_are_pictures_like_others(tree: Path) -> None:
    names = ["-a.png", "a b'\".png", "ü.png", "a\nb.png", os.fsdecode(b"\xff.png"), "[a].png"]
    touch(*(f"in/{name}" for name in names))
    assert sorted(relative_path(find(["in"], None, "x4", ALL))) == sorted(names)
    assert relative_path(find(["in/[a].png"], None, "x4", ALL)) == ["[a].png"]


@pytest.mark.parametrize(("name", "message"), [("gone.png", "does not exist"), ("*.png", "matches nothing")])
def test_an_input_that_is_not_there_is_refused(tree: Path, name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        find([name], None, "x4", ALL)
