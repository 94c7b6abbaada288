"""Records of results and failures, one object each."""

from dataclasses import replace
from pathlib import Path

import pytest

from esrt_core.records import Record, Records, is_record, parse_record, recorded_targets

DONE = Record("done", "job", "s3://b/in/a.png", "10 etag", "sub/a.png", 6)
FAILED = Record("failed", "job", "s3://b/in/a.png", "10 etag", error="it is broken", limits="100")


def test_what_is_stored_is_read_again() -> None:
    for record in (DONE, FAILED, replace(DONE, state="writing", replaces=0, source="/in/\udcff.png")):
        assert parse_record(record.content()) == record
        assert is_record(record.key)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'"text"'])
def test_what_is_no_record_says_nothing(content: bytes) -> None:
    assert parse_record(content) is None


def test_a_result_is_done_as_long_as_it_lies_there() -> None:
    assert Records([DONE], {"sub/a.png": 6}).outcome(DONE.source, "job") == DONE
    assert Records([DONE], {"sub/a.png": 7}).outcome(DONE.source, "job") is None
    assert Records([DONE], {}).outcome(DONE.source, "job") is None
    assert Records([DONE], {"sub/a.png": 6}).outcome(DONE.source, "another") is None


def test_a_target_has_one_record_and_a_failure_one_for_every_job() -> None:
    assert replace(DONE, job="another").key == DONE.key
    assert replace(FAILED, job="another").key != FAILED.key


def test_a_result_outweighs_an_older_failure() -> None:
    for records in ([DONE, FAILED], [FAILED, DONE]):
        assert Records(records, {"sub/a.png": 6}).outcome(DONE.source, "job") == DONE
    assert Records([DONE, FAILED], {}).outcome(DONE.source, "job") == FAILED


def test_what_a_run_was_about_to_write_is_its_own_but_not_done() -> None:
    writing = replace(DONE, state="writing", replaces=4)
    for size, owned in ((6, 6), (4, 4), (5, None)):
        records = Records([writing], {"sub/a.png": size})
        assert records.owned_size("sub/a.png", DONE.source) == owned
        assert records.outcome(DONE.source, "job") is None
    assert Records([writing], {"sub/a.png": 6}).owned_size("sub/a.png", "s3://b/in/other.png") is None
    assert Records([writing], {}).owned_size("sub/a.png", DONE.source) is None


def test_results_on_this_machine_are_known_by_their_records(tmp_path: Path) -> None:
    assert recorded_targets(tmp_path) == {}
    for record in (DONE, FAILED):
        (tmp_path / record.key).parent.mkdir(exist_ok=True)
        (tmp_path / record.key).write_bytes(record.content())
    (tmp_path / DONE.key).with_name("job-1.json").write_text("{}")
    assert recorded_targets(tmp_path) == {"sub/a.png": DONE.source}
