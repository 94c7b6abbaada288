"""Runs that were stopped, and the runs that go on with them."""

import dataclasses
import errno
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from esrt_core.errors import OptionError, TargetError
from esrt_core.media.video.probe import probe_clip
from esrt_core.pipeline.video import resume
from esrt_core.pipeline.video.options import VideoOptions
from esrt_core.pipeline.video.resume import ResumeLog, Segment, check_header, digest, locked
from esrt_core.pipeline.video.run import prepare_clip
from tests.pipeline.clips import Repeaters, make, picture, sound, upscale, x264

HEADER = {"source": [10, 20], "codec": ["-crf", "16"]}


def segment(folder: Path, number: int) -> Segment:
    name = f"segment_{number}.nut"
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


HALF = Fraction(1, 2)
VARIABLE = ["-vf", "select='not(mod(n,2))+lt(mod(n,7),3)'", "-fps_mode", "vfr"]


def stopped(path: Path, call: int, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        upscale(path, Repeaters(stop_at=call), **options)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
def test_going_on_gives_the_bytes_of_an_undisturbed_run(tmp_path: Path, codec: str) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=1.6), *sound(1.6), *x264("-g", "12"), "-c:a", "libopus")
    options = {"segment": HALF, "codec": codec}
    undisturbed = Path(upscale(path, output=str(tmp_path / "whole.mkv"), **options).target).read_bytes()
    output = str(tmp_path / "parts.mkv")
    stopped(path, 9, output=output, **options)
    stopped(path, 9, output=output, **options)
    result = upscale(path, output=output, **options)
    assert result.resumed_at > 0
    assert Path(result.target).read_bytes() == undisturbed


@pytest.mark.parametrize("vfr", ["constant", "keep"])
def test_going_on_after_a_jump_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vfr: str) -> None:
    monkeypatch.setattr(resume, "_MARGINS", (Fraction(1, 10),))
    path = make(tmp_path / "a.mp4", *picture("64x48", "30", 3), *VARIABLE, *x264("-g", "10"))
    options = {"segment": HALF, "vfr": vfr}
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


def test_other_options_are_not_mixed_with_unfinished_work(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", *picture(seconds=1.6), *x264())
    stopped(path, 20, segment=HALF)
    with pytest.raises(OptionError, match=r"other options, or another version of esrt \(codec\)"):
        upscale(path, segment=HALF, crf=30)
    os.utime(path, ns=(0, 0))
    with pytest.raises(OptionError, match="the source has changed"):
        upscale(path, segment=HALF)
    assert upscale(path, segment=HALF, restart=True).resumed_at == 0


def test_what_was_cut_off_while_encoding_leaves_no_trace(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *picture(seconds=1.6), *x264())
    stopped(path, 15, segment=HALF)
    work = tmp_path / ".a_x2.mp4.esrt-work"
    (work / "segment_000001.nut.12345678.part").write_bytes(b"half")
    upscale(path, segment=HALF)
    assert not work.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "a_x2.mp4"]


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


def test_the_work_folder_of_a_long_name_is_found_again(tmp_path: Path) -> None:
    path = make(tmp_path / f"{'x' * 230}.mp4", *picture(seconds=1.6), *x264())
    stopped(path, 20, segment=HALF)
    assert upscale(path, segment=HALF).resumed_at > 0


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
    options = {"segment": HALF}
    undisturbed = Path(upscale(path, output=str(tmp_path / f"whole{suffix}"), **options).target).read_bytes()
    output = str(tmp_path / f"parts{suffix}")
    stopped(path, 20, output=output, **options)
    result = upscale(path, output=output, **options)
    assert result.resumed_at > 0
    assert Path(result.target).read_bytes() == undisturbed
