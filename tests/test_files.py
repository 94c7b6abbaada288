import errno
import os
from pathlib import Path

import pytest

from esrt_core import files
from esrt_core.errors import TargetError, WeightsError
from esrt_core.files import atomic_write, check_target, display_name, free_bytes, make_folder, same_file, target_key

needs_permissions = pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")


def test_a_finished_file_appears_under_its_name_only(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    with atomic_write(target, overwrite=False) as temporary:
        temporary.write_bytes(b"picture")
        assert not target.exists()
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".out.")
    assert target.read_bytes() == b"picture"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_write(tmp_path / "out.png", overwrite=False) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_overwrite_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")

    def fail() -> None:
        with atomic_write(target, overwrite=True):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert target.read_bytes() == b"old"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out.png"

    def race() -> None:
        with atomic_write(target, overwrite=False) as temporary:
            temporary.write_bytes(b"ours")
            target.write_bytes(b"theirs")

    with pytest.raises(TargetError, match="exists; use --overwrite"):
        race()
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_without_hard_links_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "out.png"
    with atomic_write(target, overwrite=False) as temporary:
        temporary.write_bytes(b"picture")
    assert target.read_bytes() == b"picture"
    with pytest.raises(TargetError, match="exists"), atomic_write(target, overwrite=False) as temporary:
        temporary.write_bytes(b"other")
    assert target.read_bytes() == b"picture"


def test_overwriting_replaces_and_keeps_the_mode(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")
    target.chmod(0o640)
    with atomic_write(target, overwrite=True) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_is_written_through(tmp_path: Path) -> None:
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    real.write_bytes(b"old")
    link.symlink_to(real)
    with atomic_write(link, overwrite=True) as temporary:
        temporary.write_bytes(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize("stem", ["x" * 251, "ä" * 125])
def test_the_longest_names_get_a_temporary_name(tmp_path: Path, stem: str) -> None:
    target = tmp_path / f"{stem}.png"
    with atomic_write(target, overwrite=False) as temporary:
        temporary.write_bytes(b"picture")
    assert target.read_bytes() == b"picture"


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic_write(tmp_path / "out.png", overwrite=False):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TargetError, match=r"out\.png cannot be written: the disk is full"):
        fill()


def test_an_error_of_another_file_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    def read_missing() -> None:
        with atomic_write(tmp_path / "out.png", overwrite=False):
            (tmp_path / "missing").read_bytes()

    with pytest.raises(FileNotFoundError):
        read_missing()


def test_a_good_target_passes(tmp_path: Path) -> None:
    check_target(tmp_path / "out.png", overwrite=False, sources=[tmp_path / "in.png"])


def test_an_existing_target_needs_overwrite(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.touch()
    with pytest.raises(TargetError, match="--overwrite"):
        check_target(target, overwrite=False, sources=[])
    check_target(target, overwrite=True, sources=[])


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_the_input_is_never_a_target(tmp_path: Path, link: str) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    source.touch()
    getattr(target, link)(source)
    with pytest.raises(TargetError, match="is the input itself"):
        check_target(target, overwrite=True, sources=[source])


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="is a folder"):
        check_target(tmp_path, overwrite=True, sources=[])


@pytest.mark.skipif(os.name == "nt", reason="no pipes in the file system")
def test_a_pipe_is_no_target(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TargetError, match="not a regular file"):
        check_target(tmp_path / "pipe", overwrite=True, sources=[])


@pytest.mark.parametrize("name", ["con.png", "NUL", "Com1.tar.gz", "lpt9 .png"])
def test_names_reserved_on_windows_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TargetError, match="reserved on Windows"):
        check_target(tmp_path / name, overwrite=False, sources=[])


def test_names_that_only_start_like_reserved_ones_pass(tmp_path: Path) -> None:
    check_target(tmp_path / "console.png", overwrite=False, sources=[])


@pytest.mark.parametrize("name", ["x" * 252 + ".png", "ä" * 126 + ".png"])
def test_names_too_long_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TargetError, match="longer than 255 bytes"):
        check_target(tmp_path / name, overwrite=False, sources=[])


def test_a_path_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        check_target(tmp_path.joinpath(*["d" * 200] * 30, "out.png"), overwrite=False, sources=[])


def test_missing_and_false_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TargetError, match="does not exist"):
        check_target(tmp_path / "missing" / "out.png", overwrite=False, sources=[])
    with pytest.raises(TargetError, match="not a folder"):
        check_target(tmp_path / "file" / "out.png", overwrite=False, sources=[])


@needs_permissions
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TargetError, match="no write permission"):
        check_target(tmp_path / "out.png", overwrite=False, sources=[])


def test_free_bytes_of_a_folder_to_come_are_those_of_its_parent(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") > 0


def test_same_file_of_a_missing_path_is_false(tmp_path: Path) -> None:
    assert not same_file(tmp_path / "a", tmp_path / "a")


def test_target_keys_differ_by_case_unless_the_disk_is_case_insensitive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert target_key(tmp_path / "A.png") != target_key(tmp_path / "a.png")
    monkeypatch.setattr(files, "_is_case_insensitive", lambda folder: True)
    assert target_key(tmp_path / "A.png") == target_key(tmp_path / "a.png")


def test_target_keys_see_through_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert target_key(tmp_path / "link" / "a.png") == target_key(tmp_path / "real" / "a.png")


def test_display_names_are_one_printable_line() -> None:
    shown = display_name(Path(os.fsdecode(b"a\xff\nb.png")))
    assert shown.isprintable()
    assert shown.startswith("a")
    assert shown.endswith("b.png")


def test_a_temporary_file_that_somebody_removes_leaves_no_empty_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def late(source: Path, target: Path) -> None:
        source.unlink()
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(TargetError), atomic_write(tmp_path / "a.png", overwrite=False) as temporary:
        temporary.write_bytes(b"result")
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_a_file_is_written_names_the_file_not_the_temporary_one(tmp_path: Path) -> None:
    with (
        pytest.raises(WeightsError) as caught,
        atomic_write(tmp_path / "a.bin", overwrite=False) as temporary,
    ):
        raise WeightsError(f"{temporary} is damaged, and so is {temporary.name}")
    assert str(caught.value) == f"{tmp_path / 'a.bin'} is damaged, and so is a.bin"
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_below_a_root_that_exists(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b", tmp_path)
    assert (tmp_path / "a" / "b").is_dir()
    make_folder(tmp_path / "gone", tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
    with pytest.raises(TargetError):
        make_folder(tmp_path / "gone" / "a", tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
