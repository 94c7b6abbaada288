"""The manifest of a folder of results.

Records of results and failures, one object each.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from esrt_core.errors import TargetError
from esrt_core.pipeline.batch.manifest import (
    NAME,
    Entry,
    Manifest,
    Records,
    digest,
    is_record,
    logs_of,
    parse_record,
)

WRITING = Entry("writing", "job", "../in/a.png", "10 20", "a.png", target_size=6)


def result(folder: Path, content: bytes = b"result") -> Entry:
    path = folder / "a.png"
    path.write_bytes(content)
    return replace(WRITING, target_size=len(content), sha256=digest(path))


def test_what_is_noted_is_found_by_the_next_run(tmp_path: Path) -> None:
    done = replace(result(tmp_path), state="done")
    Manifest(tmp_path).add(done)
    assert Manifest(tmp_path).outcome("../in/a.png", "job") == done
    assert Manifest(tmp_path).outcome("../in/a.png", "another job") is None


def test_a_result_that_is_gone_or_was_changed_is_not_done(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(replace(result(tmp_path), state="done"))
    (tmp_path / "a.png").write_bytes(b"somebody else's")
    assert manifest.outcome("../in/a.png", "job") is None
    assert manifest.owned_size("a.png", "../in/a.png") is None
    (tmp_path / "a.png").unlink()
    assert manifest.outcome("../in/a.png", "job") is None


def test_a_result_that_got_its_name_just_before_the_end_is_recognized_by_its_bytes(tmp_path: Path) -> None:
    writing = result(tmp_path)
    manifest = Manifest(tmp_path)
    manifest.add(writing)
    assert manifest.outcome("../in/a.png", "job") == writing
    (tmp_path / "a.png").write_bytes(b"RESULT")
    assert manifest.outcome("../in/a.png", "job") is None


def test_the_earlier_result_is_still_ours_where_a_later_one_did_not_get_its_name(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(replace(result(tmp_path), state="done"))
    manifest.add(replace(WRITING, stamp="10 21", target_size=7, sha256="0" * 64))
    assert manifest.owned_size("a.png", "../in/a.png") == 6
    assert manifest.outcome("../in/a.png", "job") is None


def test_a_result_is_not_another_pictures_to_replace(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(replace(result(tmp_path), state="done"))
    assert manifest.owned_size("a.png", "../in/a.png") == 6
    assert manifest.owned_size("a.png", "../in/a.ico") is None


@pytest.mark.parametrize(
    "torn", [b'{"kind": "picture", "state": "do', b"\xff\xfe", b'{"kind": "picture", "x": 1}', b"[]", b"[" * 100_000]
)
def test_a_torn_line_says_nothing_and_harms_nothing(tmp_path: Path, torn: bytes) -> None:
    done = replace(result(tmp_path), state="done")
    Manifest(tmp_path).add(done)
    with (tmp_path / NAME).open("ab") as file:
        file.write(torn)
    manifest = Manifest(tmp_path)
    assert manifest.outcome("../in/a.png", "job") == done
    failed = Entry("failed", "job", "../in/b.png", "1 2", error="broken", limits="9")
    manifest.add(failed)
    assert Manifest(tmp_path).outcome("../in/b.png", "job") == failed
    assert Manifest(tmp_path).outcome("../in/a.png", "job") == done


def test_lines_of_another_run_are_taken_in(tmp_path: Path) -> None:
    first, second = Manifest(tmp_path), Manifest(tmp_path)
    first.begin("job", {"tta": False})
    first.add(replace(result(tmp_path), state="done"))
    assert second.outcome("../in/a.png", "job") is None
    second.refresh()
    assert second.outcome("../in/a.png", "job") is not None


def test_a_job_is_noted_once(tmp_path: Path) -> None:
    Manifest(tmp_path).begin("job", {"tta": False})
    Manifest(tmp_path).begin("job", {"tta": False})
    assert len((tmp_path / NAME).read_text().splitlines()) == 1


def test_names_that_are_not_utf_8_survive(tmp_path: Path) -> None:
    failed = Entry("failed", "job", "../in/\udcff.png", "1 2", error="broken")
    Manifest(tmp_path).add(failed)
    assert Manifest(tmp_path).outcome("../in/\udcff.png", "job") == failed


def test_the_smaller_tile_is_remembered_for_its_kind_of_device(tmp_path: Path) -> None:
    Manifest(tmp_path).add(replace(WRITING, state="done", tile=96, device="cuda"))
    assert Manifest(tmp_path).smaller_tile == {("job", "cuda"): 96}


def test_a_folder_that_is_gone_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be written"):
        Manifest(tmp_path / "gone").add(WRITING)


DONE = Entry("done", "job", "s3://b/in/a.png", "10 etag", "sub/a.png", 6)
FAILED = Entry("failed", "job", "s3://b/in/a.png", "10 etag", error="it is broken", limits="100")


def records(entries: list[Entry], sizes: dict[str, int]) -> Records:
    return Records("s3://b/out", entries, sizes)


def test_what_is_stored_is_read_again() -> None:
    for entry in (DONE, FAILED, replace(DONE, state="writing", replaces=0, source="/in/\udcff.png")):
        assert parse_record(entry.key, entry.content()) == entry
        assert is_record(entry.key)


def test_a_record_that_lies_elsewhere_than_it_says_is_none() -> None:
    assert parse_record(FAILED.key, DONE.content()) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'"text"', b"[" * 100_000])
def test_what_is_no_record_says_nothing(content: bytes) -> None:
    assert parse_record(DONE.key, content) is None


def test_a_result_is_done_as_long_as_it_lies_there() -> None:
    assert records([DONE], {"sub/a.png": 6}).outcome(DONE.source, "job") == DONE
    assert records([DONE], {"sub/a.png": 7}).outcome(DONE.source, "job") is None
    assert records([DONE], {}).outcome(DONE.source, "job") is None
    assert records([DONE], {"sub/a.png": 6}).outcome(DONE.source, "another") is None


def test_a_target_has_one_record_and_a_failure_one_for_every_job() -> None:
    assert replace(DONE, job="another").key == DONE.key
    assert replace(FAILED, job="another").key != FAILED.key


def test_a_result_outweighs_an_older_failure() -> None:
    for entries in ([DONE, FAILED], [FAILED, DONE]):
        assert records(entries, {"sub/a.png": 6}).outcome(DONE.source, "job") == DONE
    assert records([DONE, FAILED], {}).outcome(DONE.source, "job") is None  # it did not fail the last time
    assert records([FAILED], {}).outcome(DONE.source, "job") == FAILED


def test_what_a_run_was_about_to_write_is_its_own_but_not_done() -> None:
    writing = replace(DONE, state="writing", replaces=4)
    for size, owned in ((6, 6), (4, 4), (5, None)):
        log = records([writing], {"sub/a.png": size})
        assert log.owned_size("sub/a.png", DONE.source) == owned
        assert log.outcome(DONE.source, "job") is None
    assert records([writing], {"sub/a.png": 6}).owned_size("sub/a.png", "s3://b/in/other.png") is None
    assert records([writing], {}).owned_size("sub/a.png", DONE.source) is None


def test_results_on_this_machine_are_known_by_their_records(tmp_path: Path) -> None:
    assert [dict(log.targets) for log in logs_of(str(tmp_path))] == [{}, {}]
    for entry in (DONE, FAILED):
        (tmp_path / entry.key).parent.mkdir(exist_ok=True)
        (tmp_path / entry.key).write_bytes(entry.content())
    (tmp_path / DONE.key).with_name("job-1.json").write_text("{}")
    assert [dict(log.targets) for log in logs_of(str(tmp_path))] == [{}, {"sub/a.png": DONE.source}]


def test_a_name_that_was_only_reserved_is_its_own_but_not_done(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(result(tmp_path))
    (tmp_path / "a.png").write_bytes(b"")
    assert manifest.owned_size("a.png", "../in/a.png") == 0
    assert manifest.owned_size("a.png", "../in/b.png") is None
    assert manifest.outcome("../in/a.png", "job") is None


LINE = {"kind": "picture", "state": "done", "job": "job", "source": "../in/a.png", "target": "a.png", "target_size": 6}


def test_a_manifest_of_the_first_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"result")
    old = {**LINE, "size": 10, "mtime_ns": 20, "sha256": "0" * 64}
    (tmp_path / NAME).write_text(json.dumps(old) + "\n")
    entry = Manifest(tmp_path).outcome("../in/a.png", "job")
    assert entry is not None
    assert entry.is_of("10 20")
    assert not entry.is_of("10 21")


@pytest.mark.parametrize(
    "lie",
    [
        {"target": None},
        {"target": 5},
        {"target": ["x"]},
        {"target": "a\0b"},
        {"target": ""},
        {"target": "/etc/hosts"},
        {"target": "../a.png"},
        {"target": "sub/../../a.png"},
        {"target": "a.png", "target_size": 10**400},
        {"state": "finished"},
        {"tile": 7, "device": "cpu"},
        {"tile": "96"},
        {"source": {}},
    ],
)
def test_a_line_that_lies_says_nothing(tmp_path: Path, lie: dict[str, object]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for path in (tmp_path / "a.png", folder / "a.png"):
        path.write_bytes(b"result")
    (folder / NAME).write_text(json.dumps({**LINE, **lie}) + "\n")
    manifest = Manifest(folder)
    assert (dict(manifest.targets), manifest.smaller_tile) == ({}, {})
    assert manifest.outcome("../in/a.png", "job") is None
    manifest.add(replace(result(folder), state="done"))
    assert manifest.outcome("../in/a.png", "job") is not None


def test_a_key_of_a_later_version_is_ignored(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({**LINE, "hue": [1]}) + "\n")
    assert dict(Manifest(tmp_path).targets) == {"a.png": "../in/a.png"}


def test_a_result_to_which_a_link_leads_out_of_the_folder_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.png").write_bytes(b"result")
    (tmp_path / "out/sub").symlink_to("../elsewhere")
    (tmp_path / "out/a.png").symlink_to("../elsewhere/a.png")
    manifest = Manifest(tmp_path / "out")
    for target in ("sub/a.png", "a.png"):
        manifest.add(replace(WRITING, state="done", target=target))
        assert manifest.owned_size(target, "../in/a.png") is None
        assert manifest.outcome("../in/a.png", "job") is None


def test_a_manifest_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    manifest = Manifest(tmp_path)
    with pytest.raises(TargetError, match="is not a regular file; remove it"):
        manifest.add(WRITING)
    (tmp_path / NAME).unlink()
    (tmp_path / "other").write_text(json.dumps(LINE) + "\n")
    (tmp_path / NAME).symlink_to("other")
    assert dict(Manifest(tmp_path).targets) == {}
