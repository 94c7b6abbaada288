"""`esrt upscale` as a user types it, with tiny random networks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esrt_core.engine.native import NativeESRT
from esrt_core.engine.native.library import load_library
from tests.cli.conftest import Run
from tests.conftest import MakePicture, WeightsOf
from tests.evaluation.pictures import jpeg, texture

SIZE = (20, 12)  # of make_picture


def size_of(path: Path | str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if "esrt-tmp" in path.name]


def test_the_result_lies_beside_the_input_under_the_weights_own_scale(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    make_picture("sub/photo.png")
    done = run("upscale", "sub/photo.png", "--model", weights_of(2))
    assert done.code == 0
    assert size_of("sub/photo_x2.png") == (40, 24)
    assert done.out == done.out.splitlines()[0] + b"\n"
    assert done.out.startswith(b"sub/photo_x2.png: 40 x 24, ")
    assert "20 x 12 -> sub/photo_x2.png" in done.err


def test_the_bundled_weights_make_it_four_times_as_large(run: Run, make_picture: MakePicture) -> None:
    make_picture()
    assert run("upscale", "a.png").code == 0
    assert size_of("a_x4.png") == (80, 48)


@pytest.mark.slow
def test_the_line_says_which_weights_were_chosen_and_what_was_seen(run: Run) -> None:
    Image.fromarray(texture()).save("a.png")
    Image.fromarray(texture()).save("b.jpg", quality=60)
    Image.fromarray(jpeg(texture(), 60)[3:, 5:]).save("c.png")
    names = ("a.png", "b.jpg", "c.png")
    lines = run("upscale", *names, "-s", "2", "-o", "out/").out.decode().splitlines()
    assert lines[0].endswith(", clean weights (no damage seen)")
    assert lines[1].endswith(", photo weights (JPEG of quality 60)")
    assert lines[2].endswith(", photo weights (looks like a JPEG of quality 60)")
    assert b"weights" not in run("upscale", "b.jpg", "-s", "2", "--model", "photo").out
    assert "; weights by pixels)" in run("upscale", "b.jpg", "-s", "3", "--dry-run").out.decode()
    planned = json.loads(run("upscale", "b.jpg", "-s", "3", "--dry-run", "--json").out)
    assert (planned["model"], planned["reason"]) == ("auto", "by pixels")


@pytest.mark.slow
def test_a_strength_between_blends_two_results(run: Run) -> None:
    Image.fromarray(jpeg(texture(40, 48), 50)).save("a.png")
    for strength in ("0", "0.5", "1"):
        assert run("upscale", "a.png", "-s", "2", "--strength", strength, "-o", f"{strength}.png").code == 0
    for model in ("clean", "photo"):
        run("upscale", "a.png", "-s", "2", "--model", model, "-o", f"{model}.png")
    none, half, full, clean, photo = (
        np.asarray(Image.open(f"{name}.png")).astype(int) for name in ("0", "0.5", "1", "clean", "photo")
    )
    assert (none == clean).all()
    assert (full == photo).all()
    assert (half == (clean + photo + 1) // 2).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strength", "1.5"], "--strength must be from 0 (leave damage alone) to 1 (remove it), not 1.5"),
        (["--strength", "0.5", "--model", "photo"], "--strength blends the clean and the photo weights"),
    ],
)
def test_a_strength_that_cannot_be_is_refused(
    run: Run, make_picture: MakePicture, options: list[str], message: str
) -> None:
    make_picture()
    done = run("upscale", "a.png", *options)
    assert done.code == 1
    assert message in done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "name", "size"),
    [
        (["-s", "2"], "a_x2.png", (40, 24)),
        (["-s", "1.5"], "a_x1.5.png", (30, 18)),
        (["--width", "33"], "a_33w.png", (33, 20)),
        (["--height", "30"], "a_30h.png", (50, 30)),
        (["--width", "50", "--height", "29"], "a_50x29.png", (48, 29)),
        (["--longest", "37"], "a_37l.png", (37, 22)),
        (["--megapixels", "0.0015"], "a_0.0015mp.png", (50, 30)),
        (["-s", "4"], "a_x4.png", (80, 48)),
        (["-s", "1"], "a_x1.png", SIZE),
    ],
)
def test_every_way_to_ask_for_a_size(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf, options: list[str], name: str, size: tuple[int, int]
) -> None:
    make_picture()
    assert run("upscale", "a.png", "--model", weights_of(2), *options).code == 0
    assert size_of(name) == size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-s", "0.5"], "scale must be at least 1 and at most 16, not 0.5"),
        (["-s", "-3"], "scale must be at least 1 and at most 16, not -3"),
        (["-s", "17"], "scale must be at least 1 and at most 16, not 17"),
        (["-s", "nan"], "--scale must be a finite number between"),
        (["-s", "2", "--width", "50"], "use only one of --scale"),
        (["--width", "20"], "a.png: already 20 x 12 px, at least as large as the requested 20 x 12 px"),
        (["--width", "0"], "--width must be above 0"),
        (["--model", "nonsense"], "nonsense"),
        (["--model", "missing.safetensors"], "missing.safetensors does not exist"),
        (["--device", "quantum"], "unknown device 'quantum'"),
        (["--precision", "fp7"], "unknown precision 'fp7'"),
        (["--format", "gog"], "--format gog is not a known format"),
        (["--quality", "101"], "--quality must be from 1 to 100, not 101"),
        (["--background", "reddish"], "--background reddish is not a color"),
        (["--threads", "0"], "threads must be from 1"),
        (["--tile", "7"], "tile must be 0"),
        (["--max-pixels", "0"], "--max-pixels must be above 0, not 0"),
        (["--max-pixels", "959"], "--max-pixels"),
        (["-o", "missing/b.png"], "the folder missing does not exist"),
        (["-o", "b.xyz"], "cannot write '.xyz'"),
        (["-o", "folder"], "folder is a folder"),
        (["-o", "a.png"], "is the input"),
        (["-o", "a.png", "--overwrite"], "is the input"),
        (["-o", "x" * 300 + ".png"], "longer than 255 bytes"),
        (["-o", "con.png"], "reserved on Windows"),
        (["-o", "a.png/b.png"], "a.png is a file, not a folder"),
        (["-o", ""], "-o needs a value"),
        (["--model", ""], "--model needs a value"),
        (["-o", "-", "--compare"], "--compare"),
    ],
)
def test_a_bad_value_is_one_line_and_one(
    run: Run, make_picture: MakePicture, options: list[str], message: str, tmp_path: Path
) -> None:
    source = make_picture()
    before = source.read_bytes()
    (tmp_path / "folder").mkdir()
    size = [] if "-s" in options or "--width" in options else ["-s", "2"]
    done = run("upscale", "a.png", *size, *options)
    assert done.code == 1
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert done.out == b""
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["a.png", "folder"]


def test_bad_pictures_do_not_stop_good_ones(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("good.png")
    make_picture("cut.png").write_bytes(make_picture("whole.png").read_bytes()[:60])
    Path("empty.png").write_bytes(b"")
    Path("text.png").write_text("not a picture at all")
    Path("folder").mkdir()
    Path("clip.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(64))
    bad = [
        "",
        "https://example.org/a.png",
        "missing.png",
        "y" * 300 + ".png",
        "empty.png",
        "text.png",
        "cut.png",
        "folder",
        "clip.mp4",
    ]
    done = run("upscale", *bad, "good.png", "--model", weights_of(2))
    assert done.code == 1
    assert len(done.error_lines) == len(bad)
    assert "folder is a folder; use: esrt batch folder" in done.err
    assert "esrt video" in next(line for line in done.error_lines if "clip.mp4" in line)
    assert size_of("good_x2.png") == (40, 24)
    assert done.out.count(b"\n") == 1


def test_an_existing_result_is_kept_unless_overwritten(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    make_picture()
    Path("a_x2.png").write_bytes(b"mine")
    model = ("--model", weights_of(2))
    done = run("upscale", "a.png", *model)
    assert done.code == 1
    assert "a_x2.png exists; use --overwrite" in done.err
    assert Path("a_x2.png").read_bytes() == b"mine"
    assert run("upscale", "a.png", *model, "--overwrite").code == 0
    assert size_of("a_x2.png") == (40, 24)


def test_a_folder_is_made_and_names_are_those_beside_the_input(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    make_picture("a.png")
    make_picture("b.jpg")
    done = run("upscale", "a.png", "b.jpg", "-o", "new/deep/", "--model", weights_of(2))
    assert done.code == 0
    assert sorted(path.name for path in Path("new/deep").iterdir()) == ["a_x2.png", "b_x2.jpg"]


def test_several_inputs_need_a_folder(run: Run, make_picture: MakePicture) -> None:
    make_picture("a.png")
    make_picture("b.png")
    done = run("upscale", "a.png", "b.png", "-o", "c.png")
    assert (done.code, done.out) == (1, b"")
    assert "-o c.png names one file but there are 2 inputs" in done.err


def test_two_inputs_that_would_become_one_file_are_refused_before_work(run: Run, make_picture: MakePicture) -> None:
    make_picture("x/a.png")
    make_picture("y/a.png")
    done = run("upscale", "x/a.png", "y/a.png", "-o", "out/", "-s", "2")
    assert (done.code, done.out) == (1, b"")
    assert "x/a.png and y/a.png would both be written to out/a_x2.png" in done.err
    assert not Path("out").exists()


def test_a_pipe_carries_the_picture_and_nothing_else(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf
) -> None:
    source = make_picture()
    model = ("--model", weights_of(2))
    done = run("upscale", "-", *model, "--json", "--verbose", stdin=source.read_bytes())
    assert done.code == 0
    with Image.open(BytesIO(done.out)) as image:
        assert (image.format, image.size) == ("PNG", (40, 24))
    record = json.loads(next(line for line in done.err.splitlines() if line.startswith("{")))
    assert (record["source"], record["target"]) == ("standard input", "standard output")
    again = run("upscale", "a.png", "-o", "-", "--format", "jpeg", *model)
    with Image.open(BytesIO(again.out)) as image:
        assert (image.format, image.size) == ("JPEG", (40, 24))


def test_standard_input_into_a_file_or_a_folder(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    data = make_picture().read_bytes()
    assert run("upscale", "-", "-o", "b.png", "--model", weights_of(2), stdin=data).code == 0
    assert run("upscale", "-", "-o", "out/", "--model", weights_of(2), stdin=data).code == 0
    assert size_of("b.png") == size_of("out/stdin_x2.png") == (40, 24)


@pytest.mark.parametrize("data", [b"", b"nonsense"])
def test_nonsense_from_standard_input_is_one_line(run: Run, data: bytes) -> None:
    done = run("upscale", "-", "-s", "2", stdin=data)
    assert (done.code, done.out) == (1, b"")
    assert done.err.startswith("error: standard input")
    assert done.err.count("\n") == 1


def test_json_is_one_object_for_every_input(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture()
    done = run("upscale", "a.png", "missing.png", "--json", "-s", "6", "--model", weights_of(3))
    assert done.code == 1
    failed, made = (json.loads(line) for line in done.out.splitlines())
    assert (failed["ok"], failed["source"]) == (False, "missing.png")
    assert "missing.png" in failed["error"]
    assert made["ok"]
    assert (made["target"], made["size"], made["source_size"]) == ("a_x6.png", [120, 72], [20, 12])
    assert (made["passes"], made["resampled"], made["device"]) == ([3, 3], True, "cpu")


def test_quiet_says_nothing_and_verbose_says_more(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("a.png")
    make_picture("b.png")
    quiet = run("upscale", "a.png", "--model", weights_of(2), "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, b"", "")
    verbose = run("upscale", "b.png", "--model", weights_of(2), "--verbose")
    assert "1 tile computed" in verbose.err


def test_names_follow_a_template(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture("in/a.png")
    options = ("in/a.png", "--model", weights_of(2), "--name", "{stem}_{model}_x{scale}.{ext}")
    assert run("upscale", *options).code == 0
    assert Path("in/a_tiny_x2_x2.png").is_file()
    assert run("upscale", *options, "--format", "webp", "-o", "out/").code == 0
    assert Path("out/a_tiny_x2_x2.webp").is_file()
    both = run("upscale", *options, "-o", "b.png")
    assert both.error_lines == ["error: -o b.png names the result already; use a folder, ending in /, with --name"]
    bad = run("upscale", "in/a.png", "--name", "x.png")
    assert "gives every result the same name; include {stem}" in bad.err


def test_a_clean_up_takes_the_photo_weights_whatever_the_picture(run: Run, make_picture: MakePicture) -> None:
    make_picture()
    done = run("upscale", "a.png", "-s", "1", "--json")
    result = json.loads(done.out)
    assert (result["model"], result["passes"], result["resampled"]) == ("photo", [2], True)
    assert result["reason"] == "cleaned up at the same size"
    assert size_of("a_x1.png") == SIZE


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "bmp"])
def test_dpi_sets_the_resolution_tag(
    run: Run, make_picture: MakePicture, weights_of: WeightsOf, extension: str
) -> None:
    exif = Image.Exif()
    exif[0x0128], exif[0x011A], exif[0x011B] = 3, 28.35, 28.35  # px per cm
    Image.open(make_picture()).save("b.jpg", dpi=(72, 72), exif=exif)
    done = run("upscale", "b.jpg", "--dpi", "300", "-o", f"c.{extension}", "--model", weights_of(2))
    assert done.code == 0
    with Image.open(f"c.{extension}") as image:
        assert [round(float(value)) for value in image.info["dpi"]] == [300, 300]
        if extension in ("jpg", "png"):
            tags = image.getexif()
            assert (tags[0x0128], float(tags[0x011A]), float(tags[0x011B])) == (2, 300.0, 300.0)


def test_dpi_that_a_format_cannot_hold_is_said(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture()
    done = run("upscale", "a.png", "--dpi", "300", "-o", "b.webp", "--model", weights_of(2))
    assert "note: a.png: resolution left out: WebP cannot hold it" in done.err
    assert run("upscale", "a.png", "--dpi", "0").error_lines == ["error: --dpi must be from 1 to 65535, not 0"]


def test_a_dry_run_writes_nothing(run: Run, make_picture: MakePicture, weights_of: WeightsOf, tmp_path: Path) -> None:
    make_picture()
    done = run("upscale", "a.png", "-o", "new/", "--dry-run", "--model", weights_of(2))
    assert done.code == 0
    assert done.out == b"a.png: PNG 20 x 12 -> new/a_x2.png: PNG 40 x 24 (x2; cpu, fp32, 1 tile, under a minute)\n"
    record = json.loads(run("upscale", "a.png", "--dry-run", "--json", "--model", weights_of(2)).out)
    assert (record["target"], record["tiles"], record["passes"]) == ("a_x2.png", 1, [2])
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["a.png"]


def test_a_comparison_lies_beside_the_result(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture()
    done = run("upscale", "a.png", "--compare", "--model", weights_of(2))
    assert done.code == 0
    assert b"comparison in a_x2_compare.png" in done.out
    width, height = size_of("a_x2_compare.png")
    assert width > 3 * 288  # source, bicubic, ESRT
    assert height > 3 * 288  # three crops
    again = run("upscale", "a.png", "--compare", "--model", weights_of(2), "-o", "b.png")
    assert again.code == 0
    Path("b.png").unlink()
    refused = run("upscale", "a.png", "--compare", "--model", weights_of(2), "-o", "b.png")
    assert "b_compare.png exists" in refused.err
    sheet = run("upscale", "a_x2_compare.png", "--model", weights_of(2))
    assert sheet.code == 1
    assert "a_x2_compare.png is a comparison sheet written by esrt" in sheet.err
    several = run("upscale", "a.png", "a_x2_compare.png", "--model", weights_of(2), "--overwrite")
    assert several.code == 0
    assert "skipped: a_x2_compare.png is a comparison sheet" in several.err
    assert not Path("a_x2_compare_x2.png").exists()
    assert not Path("b.png").exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_odd_names_just_work(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    names = [
        b"caf\xe9.png",
        b"[red]bold[bold].png",
        b"two\nlines.png",
        b" spaces .png",
        "größe 图.png".encode(),
        b"-dash.png",
    ]
    sources = []
    for name in names:
        path = os.fsdecode(name)
        Path(path).write_bytes(make_picture("plain.png").read_bytes())
        sources.append(path)
    done = run("upscale", "--model", weights_of(2), "--", *sources)
    assert (done.code, done.error_lines) == (0, [])
    assert done.out.count(b"\n") == len(names)
    for source in sources:
        assert size_of(source.removesuffix(".png") + "_x2.png") == (40, 24)


def test_a_result_that_its_format_cannot_hold_is_refused_before_work(run: Run, make_picture: MakePicture) -> None:
    make_picture("long.png", width=4200, height=1)
    done = run("upscale", "long.png", "-s", "4", "-o", "long.webp")
    assert done.code == 1
    assert "16800 x 4 px is too large for WebP (16,383 px a side)" in done.err


def test_a_format_whose_package_is_missing_is_refused_before_work(
    run: Run, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    done = run("upscale", "a.png", "-s", "2", "-o", "b.heic")
    assert (done.code, done.out) == (1, b"")
    assert done.err == 'error: b.heic is HEIC, which needs an extra: pip install ".[formats]"\n'


def test_an_unusable_device_is_said_once_for_all_pictures(run: Run, make_picture: MakePicture) -> None:
    make_picture("a.png")
    make_picture("b.png")
    done = run("upscale", "a.png", "b.png", "--device", "cuda:99", "-s", "2")
    assert done.code == 1
    assert done.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_behind(make_picture: MakePicture, tmp_path: Path, number: int, code: int) -> None:
    make_picture("large.png", width=1500, height=1500)
    work = subprocess.Popen(
        [sys.executable, "-m", "esrt_cli", "upscale", str(tmp_path / "large.png"), "-o", str(tmp_path / "out.png")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert work.stderr is not None
    assert "large.png" in work.stderr.readline()  # the plan; the work begins
    while not left_over(tmp_path) and work.poll() is None:
        time.sleep(0.01)
    work.send_signal(number)
    rest = work.communicate(timeout=120)[1]
    assert work.returncode == code
    assert re.match(r"(interrupted|stopped by SIG\w+)( after \d+ of \d+ tiles)?; no partial files were written;", rest)
    assert rest.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["large.png"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output_is_one_line(make_picture: MakePicture, weights_of: WeightsOf) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "esrt_cli", "upscale", make_picture(), "-o", "-", "-q", "--model", weights_of(2)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"


@pytest.mark.slow
def test_a_reader_that_has_gone_is_no_crash(make_picture: MakePicture, weights_of: WeightsOf) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "esrt_cli", "upscale", make_picture(), "--json", "-q", "--model", weights_of(2)],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_options_that_change_pixels_do(run: Run, make_picture: MakePicture, weights_of: WeightsOf) -> None:
    make_picture()
    model = ("--model", weights_of(2))
    assert run("upscale", "a.png", "-o", "plain.png", *model).code == 0
    assert run("upscale", "a.png", "-o", "tta.png", "--tta", *model).code == 0
    assert run("upscale", "a.png", "-o", "whole.png", "--tile", "0", "--threads", "1", *model).code == 0
    plain, tta, whole = (np.asarray(Image.open(name)).astype(int) for name in ("plain.png", "tta.png", "whole.png"))
    assert (plain != tta).any()
    assert abs(plain - whole).max() <= 1


@pytest.mark.skipif(load_library() is None, reason="there was no C compiler when the package was installed")
def test_the_network_is_at_most_fourteen_calls_below_the_command(
    run: Run, make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picture()
    plain, found = NativeESRT.__call__, list[list[str]]()

    def watched(*arguments: Any) -> Any:
        files = [frame.filename for frame in traceback.extract_stack()]
        found.append([Path(name).stem for name in files if "/esrt_cli/" in name or "/esrt_core/" in name])
        return plain(*arguments)

    monkeypatch.setattr(NativeESRT, "__call__", watched)
    assert run("upscale", "a.png", "--device", "cpu").code == 0
    assert found[0][0] == "app"
    assert len(found[0]) + 1 <= 14  # with the network itself
