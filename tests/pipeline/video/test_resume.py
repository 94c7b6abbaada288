"""Runs that were stopped, and the runs that go on with them."""

import dataclasses
import errno
import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from esrt_core.errors import OptionError, TargetError
from esrt_core.media.video.codecs import CODECS
from esrt_core.media.video.probe import probe_clip
from esrt_core.pipeline.sizes import SizeRequest
from esrt_core.pipeline.video import resume
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.resume import Header, ResumeLog, Segment, check_header, digest, locked
from esrt_core.pipeline.video.run import prepare_clip
from tests.pipeline.clips import Repeaters, make, picture, sound, upscale, x264

HEADER = Header(
    source=(10, 20), size=((2,), 64, 48), part=("1",), decoding=("-i",), codec=("-crf", "16"), segment=5, preview=False,
    model=("0",), device=("cpu", "fp32"), tile=(None, False), streams=(1,), ffmpeg="9", threads=2,
)  # fmt: skip


def segment(folder: Path, number: int) -> Segment:
    name = f"segment_{number:06d}.nut"
    (folder / name).write_bytes(bytes([number]) * 50)
    return Segment(number, name, number * 5, 5, 0, 5, 50, digest(folder / name), 4, 99, 96, 1, ("bad",))


def begun(folder: Path, count: int) -> tuple[ResumeLog, list[Segment]]:
    resume_log = ResumeLog(folder)
    resume_log.begin(HEADER)
    segments = [segment(folder, number) for number in range(count)]
    for each in segments:
        resume_log.add(each)
    return resume_log, segments


def test_what_was_noted_is_read_again(tmp_path: Path) -> None:
    resume_log, segments = begun(tmp_path, 3)
    assert resume_log.segments() == segments
    header = resume_log.header()
    assert header is not None
    check_header(header, HEADER, tmp_path)


def test_a_half_written_line_is_none(tmp_path: Path) -> None:
    resume_log, segments = begun(tmp_path, 2)
    file = tmp_path / "journal.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    assert resume_log.segments() == segments[:1]
    resume_log.begin(HEADER, resume_log.segments())
    resume_log.add(segments[1])
    assert resume_log.segments() == segments


LIES: list[dict[str, Any]] = [
    {"name": "../../other.nut"}, {"name": "/etc/passwd"}, {"name": "segment_000002.nut"}, {"name": 7}, {"slots": 0},
    {"slots": -5}, {"slots": "5"}, {"slots": 10**30}, {"first": 6}, {"start": 9}, {"tile": -1}, {"tile": 10**9},
    {"damage": "text"}, {"sha256": None}, {"size": 51}, {"number": 2},
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_row_that_lies_and_what_follows_it_are_made_again(tmp_path: Path, lie: dict[str, Any]) -> None:
    resume_log, segments = begun(tmp_path, 3)
    file = tmp_path / "journal.jsonl"
    rows = file.read_text().splitlines()
    rows[2] = json.dumps({**json.loads(rows[2]), **lie})
    file.write_text("\n".join(rows) + "\n")
    assert resume_log.segments() == segments[:1]
    assert resume_log.frames() == 5


@pytest.mark.parametrize(
    "row", [b"", b"\0" * 40, b"[" * 100_000, b"{}", b"[1]", b'"x"', b"nan", b"\xff\xfe", b'{"number": 1e999}']
)
def test_a_row_that_is_none_is_ignored(tmp_path: Path, row: bytes) -> None:
    resume_log, segments = begun(tmp_path, 2)
    file = tmp_path / "journal.jsonl"
    header, *rows = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([header, rows[0], row, rows[1]]) + b"\n")
    assert resume_log.segments() == segments
    file.write_bytes(b"\n".join([row, *rows]) + b"\n")
    assert resume_log.header() is None


@pytest.mark.parametrize(
    "lie", [{"threads": "2"}, {"source": [1]}, {"size": 5}, {"version": 2}, {"model": {}}], ids=str
)
def test_a_header_that_lies_is_none(tmp_path: Path, lie: dict[str, Any]) -> None:
    resume_log, _ = begun(tmp_path, 1)
    file = tmp_path / "journal.jsonl"
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(header), **lie}), *rows]) + "\n")
    assert resume_log.header() is None


@pytest.mark.parametrize(("threads", "expected"), [(3, 3), (0, None), (-1, None), (10**6, None)])
def test_the_encoders_threads_are_believed_within_limits(tmp_path: Path, threads: int, expected: int | None) -> None:
    ResumeLog(tmp_path).begin(replace(HEADER, threads=threads))
    assert resume.earlier_threads(tmp_path) == expected


def test_unknown_keys_of_later_versions_are_ignored(tmp_path: Path) -> None:
    resume_log, segments = begun(tmp_path, 1)
    file = tmp_path / "journal.jsonl"
    file.write_text(
        "".join(json.dumps({**json.loads(row), "new": [1]}) + "\n" for row in file.read_text().splitlines())
    )
    assert resume_log.header() == HEADER
    assert resume_log.segments() == segments


def test_a_link_is_no_segment(tmp_path: Path) -> None:
    resume_log, segments = begun(tmp_path, 2)
    file = tmp_path / segments[1].name
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert resume_log.segments() == segments[:1]


@pytest.mark.parametrize("damage", ["missing", "short", "changed"])
def test_a_segment_whose_file_is_damaged_and_what_follows_it_are_made_again(tmp_path: Path, damage: str) -> None:
    resume_log, segments = begun(tmp_path, 3)
    file = tmp_path / segments[1].name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(bytes(50) if damage == "changed" else b"")
    assert resume_log.segments() == segments[:1]


def test_a_missing_or_foreign_journal_has_no_header(tmp_path: Path) -> None:
    assert ResumeLog(tmp_path).header() is None
    (tmp_path / "journal.jsonl").write_text("{}\n")
    assert ResumeLog(tmp_path).header() is None


def test_other_options_are_named() -> None:
    with pytest.raises(
        OptionError,
        match=r"other options, or another version of esrt \(codec\); rerun with the original options, or --restart",
    ):
        check_header(HEADER, replace(HEADER, codec=("-crf", "20")), Path("work"))


def test_a_changed_source_is_named() -> None:
    with pytest.raises(OptionError, match="the source has changed since"):
        check_header(HEADER, replace(HEADER, source=(11, 20)), Path("work"))


def test_one_run_at_a_time_holds_a_work_folder(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with locked(folder), pytest.raises(TargetError, match="another run is working on this clip"), locked(folder):
        pass
    with locked(folder):
        assert folder.is_dir()


def test_segments_are_plain_data(tmp_path: Path) -> None:
    assert dataclasses.asdict(segment(tmp_path, 0))["damage"] == ("bad",)


HALF = Fraction(1, 2)
VARIABLE = ["-vf", "select='not(mod(n,2))+lt(mod(n,7),3)'", "-fps_mode", "vfr"]


def stopped(path: Path, call: int, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        upscale(path, Repeaters(stop_at=call), **options)


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_going_on_gives_the_bytes_of_an_undisturbed_run(tmp_path: Path, codec: str) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=1.6), *sound(1.6), *x264("-g", "12"), "-c:a", "libopus")
    options: dict[str, Any] = {"segment": HALF, "codec": codec}
    undisturbed = Path(upscale(path, output=str(tmp_path / "whole.mkv"), **options).target).read_bytes()
    output = str(tmp_path / "parts.mkv")
    stopped(path, 9, output=output, **options)
    stopped(path, 9, output=output, **options)
    result = upscale(path, output=output, **options)
    assert result.resumed_at > 0
    assert Path(result.target).read_bytes() == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("vfr", ["constant", "keep"])
def test_going_on_after_a_jump_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vfr: str) -> None:
    monkeypatch.setattr(resume, "_MARGINS", (Fraction(1, 10),))
    path = make(tmp_path / "a.mp4", *picture("64x48", "30", 3), *VARIABLE, *x264("-g", "10"))
    options: dict[str, Any] = {"segment": HALF, "vfr": vfr}
    undisturbed = Path(upscale(path, output=str(tmp_path / "whole.mp4"), **options).target).read_bytes()
    output = str(tmp_path / "parts.mp4")
    stopped(path, 35, output=output, **options)
    result = upscale(path, output=output, **options)
    assert result.resumed_at >= 30
    assert Path(result.target).read_bytes() == undisturbed


def test_where_a_jump_gives_other_bytes_the_clip_is_read_from_its_start(tmp_path: Path) -> None:
    clip = probe_clip(make(tmp_path / "a.mkv", *picture(seconds=1), *x264()))
    read = prepare_clip(clip.path, VideoOptions(), Repeaters()).read  # type: ignore[arg-type]
    frames = list(resume.frames_from(clip, read, 0, None, print))
    wrong = resume.ResumePoint(frames[5].tick, resume.checksum(frames[5]) ^ 1)
    assert [frame.tick for frame in resume.frames_from(clip, read, 0, wrong, print)] == [f.tick for f in frames[5:]]


@pytest.mark.slow
def test_other_options_are_not_mixed_with_unfinished_work(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=1.6), *x264())
    stopped(path, 20, segment=HALF)
    with pytest.raises(OptionError, match=r"other options, or another version of esrt \(codec\)"):
        upscale(path, segment=HALF, crf=30)
    os.utime(path, ns=(0, 0))
    with pytest.raises(OptionError, match="the source has changed"):
        upscale(path, segment=HALF)
    assert upscale(path, segment=HALF, restart=True).resumed_at == 0


def without_between(work: Path) -> None:
    """Make the resume log one of version 0.1.0, which kept 8 bits between passes and did not say so."""
    file = work / "journal.jsonl"
    header, *rows = file.read_text().splitlines()
    record = {name: value for name, value in json.loads(header).items() if name not in ("between", "kind")}
    file.write_text("\n".join([json.dumps(record), *rows]) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "resumes"), [(2, True), (8, False)])
def test_work_of_version_0_1_0_is_resumed_if_it_needs_one_pass(tmp_path: Path, factor: int, resumes: bool) -> None:
    path = make(tmp_path / "a.mkv", *picture("16x16", seconds=1.6), *x264())
    size, output = SizeRequest(factor=Fraction(factor)), str(tmp_path / "b.mkv")
    options: dict[str, Any] = {"segment": HALF, "size": size, "output": output}
    stopped(path, 40 if factor == 8 else 20, **options)
    without_between(tmp_path / ".b.mkv.esrt-work")
    if resumes:
        assert upscale(path, **options).resumed_at > 0
        return
    with pytest.raises(OptionError, match="an earlier version of esrt, which rounded the frames after every pass"):
        upscale(path, **options)
    assert upscale(path, **options, restart=True).resumed_at == 0


@pytest.mark.slow
def test_what_was_cut_off_while_encoding_leaves_no_trace(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=1.6), *x264())
    stopped(path, 15, segment=HALF)
    work = tmp_path / ".a_x2.mp4.esrt-work"
    (work / "segment_000001.nut.12345678.part").write_bytes(b"half")
    upscale(path, segment=HALF)
    assert not work.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "a_x2.mp4"]


@pytest.mark.slow
def test_a_disk_that_fails_ends_the_run_in_one_line_and_it_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=1.6), *x264())
    noted: list[Segment] = []
    add = ResumeLog.add

    def failing(resume_log: ResumeLog, segment: Segment) -> None:
        if noted:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(resume_log, segment)
        noted.append(segment)

    with monkeypatch.context() as patch:
        patch.setattr(ResumeLog, "add", failing)
        with pytest.raises(TargetError, match="No space left on device; rerun to resume"):
            upscale(path, segment=HALF)
    assert upscale(path, segment=HALF).resumed_at == noted[0].slots


@pytest.mark.slow
def test_the_work_folder_of_a_long_name_is_found_again(tmp_path: Path) -> None:
    path = make(tmp_path / f"{'x' * 230}.mp4", *picture(seconds=1.6), *x264())
    stopped(path, 20, segment=HALF)
    assert upscale(path, segment=HALF).resumed_at > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["alpha", "joined", "counted"])
def test_going_on_gives_the_same_bytes_for_unusual_clips(tmp_path: Path, kind: str) -> None:
    if kind == "alpha":
        clear = "color=blue:size=32x24:rate=25:duration=1.6,format=yuva420p,geq=lum='p(X,Y)+N':a='8*X'"
        path = make(tmp_path / "a.webm", "-f", "lavfi", "-i", clear, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")
    elif kind == "joined":
        part = make(tmp_path / "1.ts", *picture("64x48", seconds=0.8), *sound(0.8), *x264(), "-c:a", "aac").read_bytes()
        path = tmp_path / "a.ts"
        path.write_bytes(part + part)
    else:
        path = make(
            tmp_path / "a.avi", *picture(seconds=1.6, extra=",noise=alls=60:allf=t"), "-c:v", "mpeg4", "-bf", "2"
        )
    suffix = ".mkv" if kind == "counted" else path.suffix
    options: dict[str, Any] = {"segment": HALF}
    undisturbed = Path(upscale(path, output=str(tmp_path / f"whole{suffix}"), **options).target).read_bytes()
    output = str(tmp_path / f"parts{suffix}")
    stopped(path, 20, output=output, **options)
    result = upscale(path, output=output, **options)
    assert result.resumed_at > 0
    assert Path(result.target).read_bytes() == undisturbed
