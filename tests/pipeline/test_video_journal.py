import dataclasses
from pathlib import Path

import pytest

from esrt_core.errors import OptionError, TargetError
from esrt_core.pipeline.journal import Journal, Segment, check_header, digest
from esrt_core.pipeline.work_folder import locked

HEADER = {"source": [10, 20], "codec": ["-crf", "16"]}


def segment(folder: Path, number: int) -> Segment:
    name = f"segment_{number}.nut"
    (folder / name).write_bytes(bytes([number]) * 50)
    return Segment(number, name, number * 5, 5, 0, 5, 50, digest(folder / name), 4, 99, 96, 1, ("bad",))


def begun(folder: Path, count: int) -> tuple[Journal, list[Segment]]:
    journal = Journal(folder)
    journal.begin(HEADER)
    segments = [segment(folder, number) for number in range(count)]
    for each in segments:
        journal.add(each)
    return journal, segments


def test_what_was_noted_is_read_again(tmp_path: Path) -> None:
    journal, segments = begun(tmp_path, 3)
    assert journal.segments() == segments
    header = journal.header()
    assert header is not None
    check_header(header, HEADER, tmp_path)


def test_a_half_written_line_is_none(tmp_path: Path) -> None:
    journal, segments = begun(tmp_path, 2)
    file = tmp_path / "journal.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    assert journal.segments() == segments[:1]
    journal.begin(HEADER, journal.segments())
    journal.add(segments[1])
    assert journal.segments() == segments


@pytest.mark.parametrize("damage", ["missing", "short", "changed"])
def test_a_segment_whose_file_is_damaged_and_what_follows_it_are_made_again(tmp_path: Path, damage: str) -> None:
    journal, segments = begun(tmp_path, 3)
    file = tmp_path / segments[1].name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(bytes(50) if damage == "changed" else b"")
    assert journal.segments() == segments[:1]


def test_a_missing_or_foreign_journal_has_no_header(tmp_path: Path) -> None:
    assert Journal(tmp_path).header() is None
    (tmp_path / "journal.jsonl").write_text("{}\n")
    assert Journal(tmp_path).header() is None


def test_other_options_are_named() -> None:
    with pytest.raises(OptionError, match=r"other options \(codec\); give the earlier options .* or --restart"):
        check_header(HEADER, {**HEADER, "codec": ["-crf", "20"]}, Path("work"))


def test_a_changed_source_is_named() -> None:
    with pytest.raises(OptionError, match="the source has changed since"):
        check_header(HEADER, {**HEADER, "source": [11, 20]}, Path("work"))


def test_one_run_at_a_time_holds_a_work_folder(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with locked(folder), pytest.raises(TargetError, match="another run is working on this clip"), locked(folder):
        pass
    with locked(folder):
        assert folder.is_dir()


def test_segments_are_plain_data(tmp_path: Path) -> None:
    assert dataclasses.asdict(segment(tmp_path, 0))["damage"] == ("bad",)
