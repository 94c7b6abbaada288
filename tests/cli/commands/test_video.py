import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from esrt_core.media.video.probe import probe_clip
from tests.cli.conftest import Run
from tests.pipeline.clips import make, picture, sound, x264

ROOT = Path(__file__).resolve().parents[3]


def clip(path: Path, seconds: float = 0.08) -> Path:
    return make(path, *picture(seconds=seconds), *sound(seconds), *x264(), "-c:a", "aac")


def test_a_clip_is_upscaled_beside_itself(run: Run, tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4")
    ran = run("video", "a.mp4")
    assert ran.code == 0
    assert ran.out.decode().startswith("a_x2.mp4: 64 x 48, 2 frames, ")
    video = probe_clip(tmp_path / "a_x2.mp4").video
    assert (video.width, video.height) == (64, 48)


@pytest.mark.slow
def test_names_follow_a_template_and_results_are_not_upscaled_again(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    clip(folder / "a.mp4")
    clip(folder / "b.avi")
    options = ("video", "clips", "--name", "{stem}-{size}", "--dry-run", "--json")
    assert [json.loads(line)["target"] for line in run(*options).out.splitlines()] == [
        "clips/a-x2.mp4",
        "clips/b-x2.mkv",
    ]
    clip(folder / "a-x2.mp4")
    again = run(*options, "--overwrite")
    assert [json.loads(line)["source"] for line in again.out.splitlines()] == ["clips/a.mp4", "clips/b.avi"]
    both = run("video", "clips/a.mp4", "--name", "{stem}", "-o", "c.mp4")
    assert "-o c.mp4 names the result already" in both.err


def test_a_dry_run_says_what_would_be_done_and_does_nothing(run: Run, tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4")
    ran = run("video", "a.mp4", "--height", "72", "--codec", "hevc", "--dry-run", "--json")
    record = json.loads(ran.out)
    assert (record["target"], record["codec"], record["size"], record["frames"]) == ("a_72h.mp4", "hevc", [96, 72], 2)
    assert [stream["codec"] for stream in record["streams"]] == ["aac"]
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["a.mp4"]


def test_json_tells_the_whole_story(run: Run, tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4")
    record = json.loads(run("video", "a.mp4", "--json", "-q").out)
    assert (record["ok"], record["frames"], record["size"]) == (True, 2, [64, 48])
    assert record["frames_computed"] + record["frames_reused"] == 2
    assert record["damage"] == []


@pytest.mark.slow
def test_one_bad_clip_stops_nothing(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"no clip")
    clip(folder / "b.mp4")
    ran = run("video", "clips", "-o", "large/")
    assert ran.code == 1
    assert len(ran.error_lines) == 1
    assert "clips/a.mp4 is not a clip" in ran.error_lines[0]
    assert (tmp_path / "large" / "b_x2.mp4").is_file()


@pytest.mark.slow
def test_a_rerun_of_a_folder_resumes_with_the_clips_that_are_not_done(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    clip(folder / "a.mp4")
    clip(folder / "b.mp4")
    assert run("video", "clips/a.mp4", "-o", "large/").code == 0
    before = (tmp_path / "large" / "a_x2.mp4").stat().st_mtime_ns
    ran = run("video", "clips", "-o", "large/")
    assert ran.code == 0
    assert "clips/a.mp4: skipped, large/a_x2.mp4 exists" in ran.err
    assert ran.out.decode().startswith("large/b_x2.mp4: ")
    assert (tmp_path / "large" / "a_x2.mp4").stat().st_mtime_ns == before
    assert run("video", "clips/a.mp4", "-o", "large/").code == 1


def test_results_in_a_folder_are_not_upscaled_again(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    clip(folder / "a.mp4")
    clip(folder / "a_x2.mp4")
    ran = run("video", "clips", "--overwrite", "--dry-run")
    assert ran.out.decode().count("->") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.mp4"], "none.mp4 does not exist"),
        (["a.mp4", "--start", "soon"], "--start soon is not a valid time"),
        (["a.mp4", "a.mp4", "b.mp4", "-o", "x.mp4"], "-o x.mp4 names one file but there are 2 inputs"),
        (["a.mp4", "--codec", "divx"], "--codec divx is unknown; use one of h264"),
        (["."], ". contains no clips"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: list[str], message: str) -> None:
    ran = run("video", *arguments)
    assert ran.code == 1
    assert ran.error_lines == [ran.err.strip()]
    assert message in ran.err


@pytest.mark.slow
def test_a_damaged_clip_is_upscaled_and_exits_with_1(run: Run, tmp_path: Path) -> None:
    whole = clip(tmp_path / "a.mkv", 2).read_bytes()
    (tmp_path / "a.mkv").write_bytes(whole[: len(whole) // 2])
    ran = run("video", "a.mkv", "--json")
    record = json.loads(ran.out)
    assert ran.code == 1
    assert record["ok"] is False
    assert 0 < record["frames"] < 50
    assert ran.error_lines == [f"error: a.mkv is damaged: {line}" for line in record["damage"]]
    assert " s of 2.0" in record["damage"][0]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_after_any_end_the_same_command_goes_on(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    path = make(tmp_path / "a.mp4", *picture(rate="25", seconds=0.72, extra=",noise=alls=20:allf=t"), *x264())
    command = [sys.executable, "-m", "esrt_cli", "video", str(path), "--segment", "0.5s", "--threads", "1", "-o"]
    where = {"cwd": ROOT, "stderr": subprocess.PIPE, "text": True}
    whole, parts = tmp_path / "whole.mp4", tmp_path / "parts.mp4"
    assert subprocess.run([*command, str(whole)], check=False, **where).returncode == 0  # type: ignore[call-overload]
    first = subprocess.Popen([*command, str(parts)], **where)  # type: ignore[call-overload]
    journal = tmp_path / ".parts.mp4.esrt-work" / "journal.jsonl"
    while first.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 2):
        time.sleep(0.02)
    first.send_signal(sent)
    _, output = first.communicate()
    assert first.returncode == code
    assert sent == signal.SIGKILL or "rerun to resume" in output
    assert not parts.exists()
    again = subprocess.run([*command, str(parts)], check=False, **where)  # type: ignore[call-overload]
    assert again.returncode == 0
    assert parts.read_bytes() == whole.read_bytes()
