"""`esrt batch` as a user types it, with tiny random networks."""

import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esrt_core.files import TEMPORARY_MARK
from tests.cli.conftest import Run
from tests.conftest import MakePicture, WeightsOf


def files(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".esrt-manifest"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "esrt_cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def wait_for_files(folder: str, count: int, process: "subprocess.Popen[bytes]") -> None:
    while len(list(Path(folder).glob("[!.]*.png"))) < count:
        assert process.poll() is None
        time.sleep(0.01)


def test_a_tree_becomes_a_tree_beside_it(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("in/a.png")
    make_picture("in/sub/b.jpg", 9, 8)
    Path("in/notes.txt").write_text("x")
    done = run("batch", "in", "--model", weights_of(2))
    assert done.code == 0
    assert sorted(files("in_x2")) == ["a.png", "sub/b.jpg"]
    assert "2 pictures -> in_x2: 2 to do\n" in done.err
    assert "skipped: 1 no picture" in done.err
    assert "on cpu in fp32, under a minute\n" in done.err
    assert done.err.splitlines()[-1].startswith("2 done; ")
    assert b"in_x2/a.png: 40 x 24, " in done.out


@pytest.mark.slow
def test_the_bytes_are_those_of_esrt_upscale(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    names = ["in/a.png", "in/b.jpg", "in/c.webp"]
    for index, name in enumerate(names):
        make_picture(name, 30 + index, 20)
    options = ("--model", weights_of(2), "-s", "3", "--quality", "80", "--strip-metadata", "--tile", "48")
    assert run("batch", "in", "-o", "many", *options).code == 0
    assert run("upscale", *names, "-o", "single/", *options).code == 0
    assert list(files("many").values()) == [files("single")[f"{name[0]}_x3{name[1:]}"] for name in files("many")]


def test_files_go_beside_themselves_under_the_name_that_upscale_gives(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    make_picture("a.png")
    assert run("batch", "*.png", "--model", weights_of(2)).code == 0
    assert Path("a_x2.png").exists()
    again = run("batch", "*.png", "--model", weights_of(2))
    assert again.code == 0
    assert "1 picture -> .: 0 to do, 1 done already" in again.err
    assert not Path("a_x2_x2.png").exists()


def test_a_comic_archive_becomes_one(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    with zipfile.ZipFile("book.cbz", "w") as archive:
        archive.write(make_picture("a.png"), "001.png")
        archive.writestr("ComicInfo.xml", "<ComicInfo/>")
    done = run("batch", "book.cbz", "--model", weights_of(2), "--json", "-q")
    assert done.code == 0
    page, book, summary = map(json.loads, done.out.splitlines())
    assert (page["source"], page["target"]) == ("book.cbz/001.png", "book_x2.cbz/001.png")
    assert book == {"ok": True, "source": "book.cbz", "target": "book_x2.cbz", "pages": 1}
    assert summary["summary"]["done"] == 1
    Path("book_x2.cbz").unlink()
    assert b"book.cbz -> book_x2.cbz: 1 page" in run("batch", "book.cbz", "--model", weights_of(2)).out
    assert "--ray" in run("batch", "book.cbz", "--ray", "local").err


def test_names_follow_a_template(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("in/a.png")
    done = run("batch", "in", "--model", weights_of(2), "-o", "out", "--name", "{stem}_{model}_x{scale}.{ext}")
    assert done.code == 0
    assert list(files("out")) == ["a_tiny_x2_x2.png"]


def test_a_dry_run_lists_every_source_and_target_and_writes_nothing(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    make_picture("in/a.png")
    Path("in/b.png").write_bytes(b"no picture")
    done = run("batch", "in", "--model", weights_of(2), "--dry-run")
    assert done.code == 1
    assert done.out.decode().splitlines()[0] == "in/a.png -> in_x2/a.png"
    assert done.out.decode().splitlines()[1].startswith("in/b.png: in/b.png is not in an image format")
    assert not Path("in_x2").exists()


@pytest.mark.slow
def test_failures_come_together_at_the_end_and_again_in_the_next_run(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    make_picture("in/a.png")
    whole = make_picture("in/b.png", 40, 40).read_bytes()
    Path("in/b.png").write_bytes(whole[: len(whole) // 2])
    first = run("batch", "in", "--model", weights_of(2))
    assert first.code == 1
    assert first.err.splitlines()[-2].startswith("error: in/b.png is truncated")
    assert "1 done, 1 failed" in first.err.splitlines()[-1]
    second = run("batch", "in", "--model", weights_of(2))
    assert second.code == 1
    assert second.error_lines == [f"{first.error_lines[0]} (in an earlier run; use --retry-failed to retry)"]
    Path("in/b.png").write_bytes(whole)
    assert run("batch", "in", "--model", weights_of(2)).code == 0


def test_json_is_one_line_a_picture_and_a_summary(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("in/a.png")
    make_picture("in/c.png")
    Path("in/b.png").write_bytes(b"no picture")
    done = run("batch", "in", "--model", weights_of(2), "--json", "-q")
    records = [json.loads(line) for line in done.out.splitlines()]
    assert sorted((record["source"], record["ok"]) for record in records[:-1]) == [
        ("in/a.png", True),
        ("in/b.png", False),
        ("in/c.png", True),
    ]
    summary = records[-1]["summary"]
    assert (summary["done"], summary["failed"], summary["left"]) == (2, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone does not exist"),
        (["-"], "standard input and output (-) hold a single picture"),
        (["in", "--name", "x"], "gives every result the same name"),
        (["in", "--device", "cuda:0,cuda:0"], "names a device twice"),
        (["in", "-o", "in/a.png"], "in/a.png is a file, not a folder"),
        (["in", "-s", "17"], "scale must be at least 1 and at most 16, not 17"),
        (["in", "--ray", "ray://head:10001"], "Ray Data does not work through the Ray client"),
        (["in", "--ray", "auto", "--device", "cuda:0,cuda:1"], "names a device of this machine"),
        (["memory://in", "--ray", "auto"], "memory://in does not exist or is empty"),
        (["in/a.cbr"], "in/a.cbr is a CBR (RAR) archive, which esrt does not read; unpack it"),
        (["in", "--watch", "--dry-run"], "--watch goes with neither --ray nor --dry-run"),
        (["-", "--ray", "auto"], "standard input and output (-) hold a single picture"),
        (["s3://bucket/in"], "s3://bucket/in is a remote address; use --ray"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    run: Run, make_picture: MakePicture, arguments: list[str], message: str
) -> None:
    make_picture("in/a.png")
    Path("in/a.cbr").write_bytes(b"Rar!")
    done = run("batch", *arguments)
    assert done.code == 1
    assert message in done.error_lines[0]


@pytest.mark.slow
def test_what_is_killed_goes_on_and_ends_as_if_undisturbed(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    for index in range(16):
        make_picture(f"in/{index:02}.png", 30 + index, 40)
    model = ("--model", weights_of(2))
    assert run("batch", "in", "-o", "whole", *model).code == 0
    for count in (2, 7):
        process = start("batch", "in", "-o", "killed", *model)
        wait_for_files("killed", count, process)
        process.kill()
        process.communicate()
    again = run("batch", "in", "-o", "killed", *model)
    assert again.code == 0
    assert ", 0 done already" not in again.err
    assert files("killed") == files("whole")


def poison(path: Path, how: int) -> None:
    """Spoil a picture: cut it, replace it by text or nothing, or let its TIFF claim one sample a pixel."""
    content = path.read_bytes()
    if how == 3:
        with Image.open(path) as image:
            image.save(path, "TIFF")
        content = path.read_bytes()
        samples = struct.pack("<HHI", 277, 3, 1)  # SamplesPerPixel, one short
        assert content.count(samples) == 1
        content = content.replace(samples + b"\3", samples + b"\1")
    path.write_bytes([content[: len(content) // 2], b"text, not a picture\n" * 9, b"", content][how])


@pytest.mark.slow
def test_a_folder_with_poison_that_is_killed_at_random_ends_as_if_undisturbed(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    chance = random.Random(34)
    for index in range(48):
        path = make_picture(f"in/{index:02}.{('png', 'jpg', 'tif')[index % 3]}", 30 + index % 4, 40)
        if index % 6 == 2:
            poison(path, index // 6 % 4)
    model = ("--model", weights_of(2))
    whole = run("batch", "in", "-o", "whole", *model)
    assert (whole.code, len(whole.error_lines), len(files("whole"))) == (1, 8, 40)
    for count in sorted(chance.sample(range(1, 14), 3)):
        process = start("batch", "in", "-o", "killed", *model)
        wait_for_files("killed", count, process)
        process.kill()
        process.communicate()
    again = run("batch", "in", "-o", "killed", *model)
    assert again.code == 1
    assert files("killed") == files("whole")
    known = " (in an earlier run; use --retry-failed to retry)"
    assert sorted(line.removesuffix(known) for line in again.error_lines) == sorted(whole.error_lines)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_done(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf, number: int, code: int
) -> None:
    for index in range(40):
        make_picture(f"in/{index:02}.png", 60, 60 + index)
    process = start("batch", "in", "-o", "out", "--model", weights_of(2))
    wait_for_files("out", 1, process)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code
    assert not [name for name in files("out") if TEMPORARY_MARK in name]
    assert 0 < len(files("out")) < 40
    for name in files("out"):
        with Image.open(Path("out", name)) as image:
            image.load()
    assert b"rerun to resume" in err
    assert b"error" not in err
    assert run("batch", "in", "-o", "out", "--model", weights_of(2)).code == 0
    assert len(files("out")) == 40


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    for index in range(6):
        make_picture(f"in/{index}.png", 20 if index == 0 else 700, 20 + 100 * index)
    command = ("batch", "in", "-o", "out", "--model", weights_of(2))
    process = start(*command)
    wait_for_files("out", 1, process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while b"press Ctrl-C again to stop now" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert re.search(rb"^interrupted; \d pictures? done, no partial files were written; rerun to resume$", err, re.M)
    done = [name for name in files("out") if TEMPORARY_MARK not in name]
    assert len(done) < 6
    for name in done:
        with Image.open(Path("out", name)) as image:
            image.load()
    assert run(*command).code == 0
    assert run("batch", "in", "-o", "whole", "--model", weights_of(2)).code == 0
    assert files("out") == files("whole")


@pytest.mark.slow
def test_a_watched_folder_is_worked_on_until_ctrl_c(make_picture: MakePicture, run: Run, weights_of: WeightsOf) -> None:
    make_picture("in/a.png")
    process = start("batch", "in", "--watch", "--json", "--model", weights_of(2))
    wait_for_files("in_x2", 1, process)
    make_picture("in/b.png")
    wait_for_files("in_x2", 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0
    assert err.splitlines()[-1] == b"stopped watching; rerun to resume"
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["source"] for record in records if "source" in record] == ["in/a.png", "in/b.png"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_disk_that_fills_up_stops_cleanly_and_the_next_run_goes_on(
    make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path, kind: str
) -> None:
    small = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    if shutil.which("unshare") is None or subprocess.run([*small, "mount -t tmpfs none ."], cwd=tmp_path).returncode:
        pytest.skip("no small disk can be made here without more rights")
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for index in range(8):
        Image.fromarray(rng.integers(0, 256, (60, 60, 3), np.uint8)).save(tmp_path / f"in/{index}.{kind}")
    script = (
        'mkdir out; mount -t tmpfs -o size=160k none out; set +e; "$@"; echo "exit $?"; find out -name "*.esrt-tmp*";'
        ' mount -o remount,size=9m out; "$@"; echo "exit $?"; ls out'
    )
    batch = [sys.executable, "-m", "esrt_cli", "batch", "in", "-o", "out", "-q", "--model", str(weights_of(2))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([*small, script, "sh", *batch], capture_output=True, cwd=tmp_path, env=environment, text=True)
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("exit")] == ["exit 1", "exit 0"]
    assert lines[-8:] == [f"{index}.{kind}" for index in range(8)]
    assert TEMPORARY_MARK not in done.stdout
    assert "the disk is full" in done.stderr
    assert "pictures remain: rerun to resume" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_two_runs_at_once_share_the_work(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    for index in range(16):
        make_picture(f"in/{index:02}.png", 30, 30 + index)
    command = ("batch", "in", "-o", "out", "--json", "--model", weights_of(2))
    processes = [start(*command), start(*command)]
    summaries = [json.loads(process.communicate()[0].splitlines()[-1])["summary"] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(summary["done"] for summary in summaries) == 16
    assert run("batch", "in", "-o", "alone", "--model", weights_of(2)).code == 0
    assert files("out") == files("alone")


def test_a_dry_run_for_a_cluster_starts_none(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    make_picture("in/a.png")
    Path("in/b.png").write_bytes(b"no picture")
    model = ("--model", weights_of(2), "--ray", "auto")
    done = run("batch", "in", *model, "--dry-run")
    assert done.code == 1
    assert done.out.decode().splitlines()[0] == "in/a.png -> in_x2/a.png"
    assert done.out.decode().splitlines()[1].startswith("in/b.png: in/b.png is not in an image format")
    assert not Path("in_x2").exists()
    refused = run("batch", "in", *model)
    assert refused.error_lines == ['error: --ray needs an extra: pip install ".[ray]"']
