"""Comic archives: what comes out of good ones, and how bad ones are refused."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esrt_core.errors import MediaError, OptionError
from esrt_core.pipeline.batch import books, run
from esrt_core.pipeline.batch.books import read_contents
from esrt_core.pipeline.batch.plan import FolderPlan
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.run import Packed, StopRequest, run_folder
from tests.conftest import MakePicture
from tests.pipeline.folders import Asked, planned, results
from tests.pipeline.folders import run as run_all

INFO = b"<?xml version='1.0'?><ComicInfo><Series>Test</Series></ComicInfo>"
MakeBook = Callable[..., Path]


@pytest.fixture
def make_book(make_picture: MakePicture, tmp_path: Path) -> MakeBook:
    """Return a maker of archives with pages of some names, ComicInfo.xml in between, and a comment."""

    def make(name: str = "in/book.cbz", pages: Sequence[str] = ("01/b.png", "01/a.jpg", "02/c.webp")) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = b"a comment"
            archive.writestr("01/", b"")
            for index, page in enumerate(pages):
                content = make_picture(f"page{Path(page).suffix}", 20 + index, 12).read_bytes()
                archive.writestr(zipfile.ZipInfo(page, (2001, 2, 3, 4, 5, 6)), content)
                if index == 0:
                    archive.writestr("ComicInfo.xml", INFO)
                    archive.writestr("__MACOSX/._a.jpg", b"not a picture")
        return path

    return make


def entries(path: str | Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


def run_plan(plan: FolderPlan, stop: StopRequest | None = None) -> tuple[run.FolderResult, list[Packed]]:
    packed: list[Packed] = []
    workers = make_workers(plan) if plan.tasks else []
    return run_folder(plan, workers, lambda ended: None, stop or StopRequest(), packed.append), packed


def test_a_book_becomes_a_book_with_names_order_and_the_rest_kept(
    asked: Asked, make_book: MakeBook, make_picture: MakePicture
) -> None:
    source = entries(make_book())
    make_picture("in/single.png")
    plan = planned(asked())
    assert [str(task.target) for task in plan.tasks] == [
        "in_x2/single.png",
        *(f"in_x2/book.cbz/{name}" for name in ("01/b.png", "01/a.jpg", "02/c.webp")),
    ]
    result, packed = run_plan(plan)
    assert (result.done, result.failures) == (4, [])
    assert packed == [Packed(Path("in/book.cbz"), Path("in_x2/book.cbz"), 3)]
    made = entries("in_x2/book.cbz")
    assert list(made) == list(source)
    for name, content in made.items():
        if name[3:] in ("b.png", "a.jpg", "c.webp"):
            sizes = [Image.open(io.BytesIO(each)).size for each in (source[name], content)]
            assert sizes[1] == (2 * sizes[0][0], 2 * sizes[0][1])
        else:
            assert content == source[name]
    with zipfile.ZipFile("in_x2/book.cbz") as archive:
        assert archive.comment == b"a comment"
        assert archive.getinfo("01/b.png").date_time == (2001, 2, 3, 4, 5, 6)
    assert sorted(results()) == ["book.cbz", "single.png"]
    again = planned(asked())
    assert (again.tasks, again.books, again.done) == ([], [], [Path("in/single.png"), Path("in/book.cbz")])


def test_a_book_by_itself_goes_beside_itself_and_is_never_read_again(asked: Asked, make_book: MakeBook) -> None:
    make_book()
    run_all(asked("in/book.cbz"))
    assert sorted(entries("in/book_x2.cbz")) == sorted(entries("in/book.cbz"))
    again = planned(asked("in/*.cbz"))
    assert (again.tasks, again.done, again.skipped) == ([], [Path("in/book.cbz")], {"own result": 1})


@pytest.mark.slow
def test_a_stopped_run_keeps_its_pages_and_the_next_one_ends_in_the_same_bytes(
    asked: Asked, make_book: MakeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_book(pages=[f"{index}.png" for index in range(12)])
    run_all(asked(output="whole"))
    monkeypatch.setattr("esrt_core.pipeline.batch.workers.MAX_IN_FLIGHT", 2)
    plan, stop = planned(asked()), StopRequest()
    result = run_folder(plan, make_workers(plan), lambda ended: stop.request(), stop)
    assert 1 <= result.done < 12
    assert not Path("in_x2/book.cbz").exists()
    assert len(list(Path("in_x2/.book.cbz.esrt-work").glob("*.png"))) == result.done
    again = planned(asked())
    assert (len(again.tasks), len(again.done)) == (12 - result.done, result.done)
    run_plan(again)
    assert results() == results("whole")


def test_a_run_that_died_before_it_packed_does_so_without_a_network(
    asked: Asked, make_book: MakeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_book()
    with monkeypatch.context() as patch:
        patch.setattr(run, "pack", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_all(asked())
    plan = planned(asked())
    assert (plan.tasks, len(plan.done), len(plan.books)) == ([], 3, 1)
    assert len(run_plan(plan)[1]) == 1
    assert sorted(results()) == ["book.cbz"]
    Path("in_x2/.book.cbz.esrt-work").mkdir()  # what is left if it died after that
    run_all(asked())
    assert sorted(path.name for path in Path("in_x2").glob(".book*")) == []


def test_another_format_changes_suffixes_alone(asked: Asked, make_book: MakeBook) -> None:
    make_book(pages=["1.png", "x.y/2.bmp"])
    options = asked()
    upscale = replace(options.upscale, format="jpeg")
    run_all(replace(options, upscale=upscale))
    assert list(entries("in_x2/book.cbz")) == ["01/", "1.jpg", "ComicInfo.xml", "__MACOSX/._a.jpg", "x.y/2.jpg"]


def test_pages_whose_names_would_clash_are_refused_before_the_work(
    asked: Asked, make_book: MakeBook, make_picture: MakePicture
) -> None:
    make_picture("in/single.png")
    make_book(pages=["01/a.png", "01/a.bmp", "01/b.png"])
    options = asked()
    plan = planned(replace(options, upscale=replace(options.upscale, format="jpeg")))
    assert [failure.reason for failure in plan.refused] == [
        "in/book.cbz: two of its pages would be named 01/a.jpg; use another --format"
    ]
    assert ([task.picture.name for task in plan.tasks], plan.books) == (["in/single.png"], [])
    plan = planned(options)
    assert (len(plan.tasks), len(plan.books), plan.refused) == (4, 1, [])


class Streamed(io.RawIOBase):
    """A stream that cannot be rewound, so that sizes follow the content, as in what macOS and browsers write."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self._file.write(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def unix(page: bytes, path: Path) -> None:
    """Info-ZIP: folders are entries with modes, names are UTF-8, everything is deflated."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, content in (("Band é/", 0o40755, b""), ("Band é/01 – a.png", 0o100644, page)):
            info = zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, 6))
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)


def windows(page: bytes, path: Path) -> None:
    """Explorer: DOS attributes, names in CP437 without a mark, no entries for folders, Thumbs.db."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("B@@nd/01.png", page), ("B@@nd/Thumbs.db", b"\xd0\xcf\x11\xe0")):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 0, 0x20, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    path.write_bytes(path.read_bytes().replace(b"B@@nd", "Bünd".encode("cp437") + b"_"))


def japanese(page: bytes, path: Path) -> None:
    """An old packer: names in Shift JIS, which nothing in the archive tells, and backslashes between folders."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("@@@@\\001.png", page)
        archive.writestr("@@@@\\002.bmp", image_as(page, "BMP"))
    path.write_bytes(path.read_bytes().replace(b"@@@@", "漫画".encode("shift_jis")))


def macos(page: bytes, path: Path) -> None:
    """Archive Utility: streamed, so that sizes follow the content; resource forks and .DS_Store beside the pages."""
    with Streamed(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Book/.DS_Store", b"Bud1")
        archive.writestr("Book/1.png", page)
        archive.writestr("__MACOSX/Book/1.png", b"a resource fork")
        archive.writestr("__MACOSX/Book/._1.png", b"a resource fork")
        archive.writestr("Book/.thumbnails/1.png", page)


def comic(page: bytes, path: Path) -> None:
    """A reader of comics: stored, ComicInfo.xml first, comments on entries and archive, chapters in folders."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = b"Some Comic v2"
        archive.writestr("ComicInfo.xml", INFO)
        for name in ("v1/ch1/p10.png", "v1/ch1/p2.png", "v1/ch2/p1.PNG"):
            info = zipfile.ZipInfo(name)
            info.comment = name.encode()
            archive.writestr(info, page)


def large(page: bytes, path: Path) -> None:
    """A packer that writes zip64 always, behind a few bytes of something else, and a folder named like a picture."""
    path.write_bytes(b"#!/bin/sh\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("cover.png/", b"")
        with archive.open(zipfile.ZipInfo("cover.png/1.png"), "w", force_zip64=True) as file:
            file.write(page)


def image_as(page: bytes, name: str) -> bytes:
    content = io.BytesIO()
    Image.open(io.BytesIO(page)).save(content, name)
    return content.getvalue()


def kept_of(info: zipfile.ZipInfo) -> tuple[object, ...]:
    """What must be kept of an entry that is not its content: the very bytes of its name are told by name and flag."""
    flag = info.flag_bits & 0x800 if not info.filename.isascii() else 0
    system = (info.create_system, info.external_attr)
    return info.filename, flag, info.date_time, *(() if info.external_attr == 0o600 << 16 else system), info.comment


@pytest.mark.parametrize(
    ("make", "pages"),
    [
        (unix, ["Band é/01 – a.png"]),
        (windows, ["Bünd_/01.png"]),
        (japanese, [f"{'漫画'.encode('shift_jis').decode('cp437')}\\{name}" for name in ("001.png", "002.bmp")]),
        (macos, ["Book/1.png"]),
        (comic, ["v1/ch1/p10.png", "v1/ch1/p2.png", "v1/ch2/p1.PNG"]),
        (large, ["cover.png/1.png"]),
    ],
)
def test_books_of_every_maker_keep_all_but_the_pixels(
    asked: Asked, make_picture: MakePicture, make: Callable[[bytes, Path], None], pages: list[str]
) -> None:
    Path("in").mkdir()
    make(make_picture("page.png").read_bytes(), Path("in/book.cbz"))
    before = entries("in/book.cbz")
    plan = planned(asked())
    assert plan.refused == []
    result, packed = run_plan(plan)
    assert (result.failures, [each.pages for each in packed]) == ([], [len(pages)])
    after = entries("in_x2/book.cbz")
    assert list(after) == list(before)
    assert [name for name in before if before[name] != after[name]] == pages
    assert {Image.open(io.BytesIO(after[name])).size for name in pages} == {(40, 24)}
    with zipfile.ZipFile("in/book.cbz") as old, zipfile.ZipFile("in_x2/book.cbz") as new:
        assert old.comment == new.comment
        assert list(map(kept_of, old.infolist())) == list(map(kept_of, new.infolist()))


def test_a_page_in_another_format_keeps_the_bytes_of_its_name(asked: Asked, make_picture: MakePicture) -> None:
    Path("in").mkdir()
    japanese(make_picture("page.png").read_bytes(), Path("in/book.cbz"))
    options = asked()
    run_all(replace(options, upscale=replace(options.upscale, format="webp")))
    content = Path("in_x2/book.cbz").read_bytes()
    assert content.count("漫画\\".encode("shift_jis") + b"001.webp") == 2  # beside the content and in the directory
    assert content.count("漫画\\".encode("shift_jis") + b"002.webp") == 2


@pytest.mark.slow
def test_a_page_that_fails_leaves_the_book_unwritten_until_it_is_intact(asked: Asked, make_book: MakeBook) -> None:
    good = make_book()
    content = good.read_bytes()
    with zipfile.ZipFile(good, "a") as archive:
        archive.writestr("03.png", b"no picture")
    result, packed = run_plan(planned(asked()))
    assert (result.done, packed) == (3, [])
    assert [failure.reason for failure in result.failures] == [
        "in/book.cbz is not complete: 1 of its 4 pages failed; rerun with --retry-failed"
    ]
    assert planned(asked()).failed_before[0].reason.startswith("in/book.cbz/03.png is not in an image format")
    good.write_bytes(content)
    assert len(run_plan(planned(asked()))[1]) == 1


def test_pages_that_are_large_enough_stay_as_they_are(asked: Asked, make_book: MakeBook) -> None:
    source = entries(make_book())
    run_all(asked(size=run_size(longest=22)))
    made = entries("in_22l/book.cbz")
    assert [name for name in made if made[name] != source[name]] == ["01/b.png", "01/a.jpg"]


def run_size(longest: int) -> object:
    from esrt_core.pipeline.sizes import SizeRequest

    return SizeRequest(longest=longest)


def write_zip(name: str, *infos: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    Path("in").mkdir(exist_ok=True)
    with zipfile.ZipFile(Path("in", name), "w", zipfile.ZIP_DEFLATED) as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *arguments, **named: None)  # of names that come twice
        for info, content in infos:
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return Path("in", name)


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("a.png")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def encrypted() -> Path:
    path = write_zip("book.cbz", ("a.png", b"x"))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 8] |= 1
    path.write_bytes(content)
    return path


def overlapping() -> Path:
    """Return an archive with two entries in its directory whose contents are the same bytes."""
    path = write_zip("book.cbz", ("a.png", b"x" * 1000), ("b.png", b"y" * 1000))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\1\2")
    content[at + 42 : at + 46] = struct.pack("<I", 5)
    path.write_bytes(content)
    return path


def packed_by(compression: int) -> Path:
    path = Path("in/book.cbz")
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a.png", bytes(1000))
    return path


def claiming(size: int) -> Path:
    """Return an archive whose directory says that its entry unpacks to `size` bytes."""
    path = write_zip("book.cbz", ("a.png", bytes(1000)))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: write_zip("book.cbz", ("../a.png", b"x")), r"\.\./a\.png leads out of the archive"),
        (lambda: write_zip("book.cbz", ("/etc/a.png", b"x")), "leads out of the archive"),
        (lambda: write_zip("book.cbz", ("a\\..\\..\\b.png", b"x")), "leads out of the archive"),
        (lambda: write_zip("book.cbz", ("C:/a.png", b"x")), "leads out of the archive"),
        (lambda: write_zip("book.cbz", (link(), b"/etc/passwd")), r"a\.png is a link"),
        (lambda: write_zip("book.cbz", ("a.png", b"x"), ("a.png", b"y")), r"has two entries named a\.png"),
        (lambda: write_zip("book.cbz", ("a.png", b"x"), ("b.txt", bytes(80_000_000))), "over 100 times its size"),
        (lambda: write_zip("book.cbz", ("notes.txt", b"x")), "has no pages that esrt reads"),
        (overlapping, "has entries that overlap, as a zip bomb has; it is refused"),
        (lambda: packed_by(zipfile.ZIP_LZMA), "is compressed in an unusual way"),
        (lambda: packed_by(zipfile.ZIP_BZIP2), "is compressed in an unusual way"),
        (encrypted, r"a\.png is encrypted"),
        (lambda: claiming(4_000_000_000), "more than --max-pixels allows"),
        (lambda: Path("in/book.cbz").write_bytes(b"Rar!\x1a\x07"), "is not a zip archive or is damaged"),
    ],
)
def test_hostile_books_are_refused_in_one_sentence_and_remembered(
    asked: Asked, make_picture: MakePicture, make: Callable[[], Path], message: str
) -> None:
    make_picture("in/good.png")
    make()
    options = asked()
    limits = replace(options.upscale.limits, max_pixels=40_000_000)
    options = replace(options, upscale=replace(options.upscale, limits=limits))
    plan = planned(options)
    with pytest.raises(MediaError, match=message):
        raise MediaError(plan.refused[0].reason)
    assert "\n" not in plan.refused[0].reason
    assert (len(plan.tasks), plan.books) == (1, [])
    assert run_plan(plan)[0].done == 1
    assert len(planned(options).failed_before) == 1


def test_a_page_with_more_or_less_than_it_says_is_damaged(asked: Asked, make_book: MakeBook) -> None:
    Path("in").mkdir()
    claiming(500)
    assert "is not a zip archive or is damaged" in planned(asked()).refused[0].reason
    claiming(2000)
    assert "damaged" in planned(asked()).refused[0].reason


def test_very_many_entries_are_refused(make_book: MakeBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "_MOST_ENTRIES", 4)
    with pytest.raises(MediaError, match="has 6 entries, more than the 4 allowed"):
        read_contents(make_book(), 1000)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.cbr", "is a CBR .RAR. archive.*zip its pages as a .cbz"), ("a.PDF", "save its pages as pictures first")],
)
def test_other_archives_are_refused_by_name(asked: Asked, make_picture: MakePicture, name: str, message: str) -> None:
    make_picture("in/good.png")
    Path("in", name).write_bytes(b"x")
    with pytest.raises(OptionError, match=message):
        planned(asked(f"in/{name}"))
    assert len(planned(asked()).tasks) == 1


def test_a_book_of_random_bytes_does_no_harm(asked: Asked, make_book: MakeBook) -> None:
    whole = make_book().read_bytes()
    chance = np.random.default_rng(5)
    for _ in range(60):
        content = np.frombuffer(whole, np.uint8).copy()
        at = chance.integers(0, len(whole), 6)
        content[at] = chance.integers(0, 256, 6)
        Path("in/book.cbz").write_bytes(content[: chance.integers(1, len(whole) + 1)].tobytes())
        plan = planned(asked())
        assert plan.faults == []
        assert all("\n" not in failure.reason for failure in plan.refused)
