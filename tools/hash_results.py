"""Hash what the command `esrt` writes, so that two versions of the code can be compared byte for byte.

python tools/hash_results.py -o before.json                     # with the earlier code
python tools/hash_results.py -o after.json --against before.json  # with the later code: exit 1 where a result differs

python tools/hash_results.py --begin begun                      # with the earlier code: two runs, killed on the way
cp -a begun begun.copy                                          # --finish uses its folder up; cp -a keeps the times
python tools/hash_results.py --finish begun                     # with the later code: exit 1 unless both are resumed

To finish once more, put the copy back under the old name: the journal of a clip holds the clip's whole path.

The code under test is what `python -m esrt_cli` imports: set PYTHONPATH to choose it; the first line on stderr says
which it was. `--only WORD` runs the cases whose names contain WORD. All inputs are generated from fixed seeds in a
temporary folder. Hashes hold for one machine and one set of library versions: kernels and encoders differ between
them. The inputs are hashed too, as `input/NAME`, so that a changed encoder is not mistaken for a changed upscaler.

Not hashed, because it varies from run to run: hidden files (the manifest of `esrt batch` holds modification times, and
its lock is empty) and what the command prints (seconds). Containers of clips do not vary: no time is written to them.
"""

# ruff: noqa: T201

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import imageio_ffmpeg
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

Results = dict[str, str]

UPSCALE_CASES = {  # name: arguments of `esrt upscale`, which writes to the folder out/NAME
    "rgb_x2": "rgb.png -s 2",
    "rgb_x3": "rgb.png -s 3",
    "rgb_x4": "rgb.png",
    "rgb_x2.5": "rgb.png -s 2.5",
    "rgb_x6_chain": "tiny.png -s 6",
    "rgb_x8_chain": "tiny.png -s 8",
    "rgb_width": "rgb.png --width 150",
    "rgb_fit": "rgb.png --width 150 --height 100",
    "rgb_megapixels": "rgb.png --megapixels 0.02",
    "rgb_tile_100": "large.png -s 2 --tile 100",
    "rgb_tile_0": "rgb.png -s 2 --tile 0",
    "rgb_tta": "tiny.png -s 2 --tta",
    "rgb_clean": "rgb.png -s 2 --model clean",
    "rgb_photo": "rgb.png -s 2 --model photo",
    "rgb_photo_x3": "rgb.png -s 3 --model photo",
    "rgb_sheet": "large.png -s 2 --compare",
    "rgb_bf16": "rgb.png -s 2 --precision bf16",
    "rgb_to_jpeg": "rgb.png -s 2 --format jpeg --quality 88",
    "rgb_to_tiff": "rgb.png -s 2 --format tiff",
    "several_files": "rgb.png gray.png turned.jpg -s 2",
    "jpeg_exif_icc": "turned.jpg -s 2",
    "jpeg_low_quality": "poor.jpg -s 2",
    "jpeg_stripped": "turned.jpg -s 2 --strip-metadata",
    "jpeg_gray": "gray.jpg -s 2",
    "jpeg_truncated": "cut.jpg -s 2 --allow-truncated",
    "cmyk_jpeg": "cmyk.jpg -s 2",
    "cmyk_tiff": "cmyk.tif -s 2",
    "gray": "gray.png -s 2",
    "palette": "palette.png -s 2",
    "palette_clear": "palette_clear.png -s 2",
    "one_bit": "bit.png -s 2",
    "gray_16": "gray16.png -s 2",
    "rgb_16": "rgb16.png -s 2",
    "rgb_16_x2.5": "rgb16.png -s 2.5",
    "rgba": "rgba.png -s 2",
    "rgba_to_jpeg": "rgba.png -s 2 --format jpeg --background #ff8800",
    "rgba_16": "rgba16.png -s 2",
    "la": "la.png -s 2",
    "animated_gif": "moving.gif -s 2",
    "animated_webp": "moving.webp -s 2",
    "animated_png": "moving.png -s 2",
    "tiff_pages": "pages.tif -s 2",
    "tiff_float": "float.tif -s 2",
    "tiff_16": "deep.tif -s 2",
    "webp": "still.webp -s 2",
    "avif": "still.avif -s 2",
    "bmp": "still.bmp -s 2",
}
VIDEO_CASES = {  # name: arguments of `esrt video`, the result's name among them. The encoder's threads decide its bytes
    "clip_ffv1": "color.mp4 --codec ffv1 --encoder software -o out/clip_ffv1/color.mkv",
    "clip_h264": "color.mp4 --codec h264 --encoder software --segment 0.5s -o out/clip_h264/color.mp4",
    "clip_gray": "gray.mkv --codec ffv1 -o out/clip_gray/gray.mkv",
    "clip_part_x3": "color.mp4 -s 3 --start 0.3 --end 0.7 -o out/clip_part_x3/part.mp4",
    "clip_vp9": "color.mp4 --codec vp9 -o out/clip_vp9/color.webm --drop-streams",
}
BATCH_CASES = {  # name: arguments of `esrt batch`, which writes to the folder out/NAME
    "batch_tree": "tree -s 2",
    "batch_names": "tree --include *.png --longest 100 --name {stem}_{model}_{size}.{ext}",
}
# --tta makes pictures slow enough for a kill after the second. -o FOLDER/ follows; the results' names are the defaults.
BEGUN = {
    "batch": "pictures -s 2 --tta --threads 1 --json",
    "video": "clip.mp4 -s 2 --codec h264 --encoder software --segment 1s --threads 2 --json",
}
NOUNS = {"batch": "pictures", "video": "frames"}
PICTURES, SECONDS, RATE = 8, "5", 10  # of the batch; of the clip, a segment each; frames a second


def main() -> int:
    """Do what is asked, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="write the hashes here, as JSON")
    parser.add_argument("--against", type=Path, help="compare with the hashes of an earlier run")
    parser.add_argument("--only", default="", metavar="WORD", help="only the cases whose names contain WORD")
    parser.add_argument("--begin", type=Path, metavar="FOLDER", help="leave an unfinished batch and clip in FOLDER")
    parser.add_argument("--finish", type=Path, metavar="FOLDER", help="finish what --begin left, and check it")
    options = parser.parse_args()
    if not (options.output or options.against or options.begin or options.finish):
        parser.error("give -o, --against, --begin or --finish")
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        run([sys.executable, "-c", "import sys, esrt_core; print(esrt_core.__file__, file=sys.stderr)"], home, home)
        if options.begin:
            return begin(options.begin, home)
        if options.finish:
            return finish(options.finish, home)
        results = hash_results(home, options.only)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return compare(json.loads(options.against.read_text()), results, options.only) if options.against else 0


def compare(earlier: Results, results: Results, only: str) -> int:
    """Print which hashes differ; return 1 where one does."""
    if only:
        earlier = {name: value for name, value in earlier.items() if name.startswith("input/") or only in name}
    names = sorted(name for name in earlier.keys() | results.keys() if earlier.get(name) != results.get(name))
    for name in names:
        state = "missing now" if name not in results else "new" if name not in earlier else "differs"
        print(f"{state}: {name}")
    print(f"{len(results)} hashes, {len(names)} not as before")
    return 1 if names else 0


def hash_results(folder: Path, only: str) -> Results:
    """Make the inputs in `folder`, run the cases there, and return {case/file: sha256}."""
    make_pictures(folder)
    make_clips(folder)
    results = {f"input/{name}": value for name, value in hash_files(folder).items()}
    for command, cases in (("upscale", UPSCALE_CASES), ("batch", BATCH_CASES), ("video", VIDEO_CASES)):
        for name, text in cases.items():
            if only not in name:
                continue
            target = folder / "out" / name
            target.mkdir(parents=True)
            place = [] if command == "video" else ["-o", f"out/{name}/"]
            threads = "2" if command == "video" else "1"
            arguments = [*text.split(), *place, "--threads", threads, "--quiet"]
            esrt([command, *arguments], folder, folder / "home")
            files = hash_files(target)
            if not files:
                raise SystemExit(f"{name}: no result")
            results |= {f"{name}/{file}": value for file, value in files.items()}
    if only in "pipe":
        data = (folder / "rgb.png").read_bytes()
        made = esrt(["upscale", "-", "-s", "2", "-o", "-", "--threads", "1", "--quiet"], folder, folder / "home", data)
        results["pipe/stdout"] = hashlib.sha256(made).hexdigest()
    return results


def hash_files(folder: Path) -> Results:
    """Return {path in the folder: sha256} of all files but hidden ones, which hold times."""
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    shown = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    return {file.as_posix(): hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in shown}


def esrt(arguments: Sequence[str], folder: Path, home: Path, data: bytes = b"") -> bytes:
    """Run the command in `folder` and return what it prints; stop where it fails."""
    return run([sys.executable, "-m", "esrt_cli", *arguments], folder, home, data)


def run(command: Sequence[str], folder: Path, home: Path, data: bytes = b"") -> bytes:
    """Run a program in `folder` and return its output; stop where it fails."""
    done = subprocess.run(command, cwd=folder, env=environment(home), input=data, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}: {shlex.join(command)}")
    return done.stdout


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a command: no settings or weights of the user's, one thread for the libraries."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ESRT_")}
    places = {"ESRT_CONFIG": str(home / "none.toml"), "ESRT_HOME": str(home), "ESRT_OFFLINE": "1"}
    return kept | places | {"OMP_NUM_THREADS": "1"}


def scene(width: int, height: int, channels: int, seed: int) -> NDArray[np.float64]:
    """Return a generated picture (height, width, channels) in 0..1: slopes, edges, disks and a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.empty((height, width, channels))
    for channel in range(channels):
        slope = x / width * random.uniform(0.2, 0.6) + y / height * random.uniform(0.1, 0.4)
        picture[..., channel] = slope + 0.05 * np.sin(x * random.uniform(0.3, 1.2))
    for _ in range(6):
        center_x, center_y, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(3, width / 4)
        picture[(x - center_x) ** 2 + (y - center_y) ** 2 < radius**2] = random.uniform(0, 1, channels)
    return np.clip(picture + random.normal(0, 0.004, picture.shape), 0, 1)


def bytes_of(width: int, height: int, channels: int, seed: int) -> NDArray[np.uint8]:
    """Return a scene as uint8 (height, width, channels), or (height, width) of one channel."""
    return (scene(width, height, channels, seed) * 255 + 0.5).astype(np.uint8).squeeze()


def words_of(width: int, height: int, channels: int, seed: int) -> NDArray[np.uint16]:
    """Return a scene as uint16 (height, width, channels), or (height, width) of one channel."""
    return (scene(width, height, channels, seed) * 65535 + 0.5).astype(np.uint16).squeeze()


def image(channels: int, seed: int, width: int = 64, height: int = 48) -> Image.Image:
    """Return a scene as a Pillow picture: L, LA, RGB or RGBA."""
    return Image.fromarray(bytes_of(width, height, channels, seed))


def make_pictures(folder: Path) -> None:
    """Write the pictures of all cases, and the tree of the batch."""
    make_eight_bit(folder)
    make_photos(folder)
    make_deep(folder)
    first, *others = [image(3, 40 + number, 40, 32) for number in range(3)]
    for name in ("moving.gif", "moving.webp", "moving.png"):
        first.save(folder / name, save_all=True, append_images=others, duration=[80, 120, 200], loop=2)
    make_tree(folder / "tree")


def make_eight_bit(folder: Path) -> None:
    """Write pictures of 8 bits and fewer without loss."""
    image(3, 1).save(folder / "rgb.png", dpi=(300, 300))
    image(3, 2, 26, 24).save(folder / "tiny.png")
    image(3, 3, 150, 120).save(folder / "large.png")  # more than one tile of 100 px
    image(1, 4).save(folder / "gray.png")
    image(3, 5).quantize(32).save(folder / "palette.png")
    image(3, 6).quantize(16).save(folder / "palette_clear.png", transparency=3)
    image(1, 7).convert("1").save(folder / "bit.png")
    image(4, 8).save(folder / "rgba.png")
    image(2, 9).save(folder / "la.png")
    image(3, 10).save(folder / "still.bmp")
    image(3, 11).convert("CMYK").save(folder / "cmyk.tif")


def make_photos(folder: Path) -> None:
    """Write pictures in formats that lose detail, with a profile, and one turned by its EXIF orientation."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # the profile's time of creation is now: it would change with every run
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a generated scene"
    image(3, 20).save(folder / "turned.jpg", quality=92, exif=exif, icc_profile=bytes(profile), dpi=(72, 72))
    image(3, 21).save(folder / "poor.jpg", quality=35)
    image(1, 22).save(folder / "gray.jpg", quality=90)
    image(3, 23).convert("CMYK").save(folder / "cmyk.jpg", quality=92)
    image(3, 24).save(folder / "still.webp", quality=85)
    image(3, 25).save(folder / "still.avif", quality=85, max_threads=1)
    image(3, 26, 96, 72).save(folder / "whole.jpg", quality=90)
    data = (folder / "whole.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) * 3 // 4])


def make_deep(folder: Path) -> None:
    """Write pictures of 16 bits and of floats, and TIFF pages."""
    for name, channels in {"gray16": 1, "rgb16": 3, "rgba16": 4}.items():
        data = imagecodecs.png_encode(words_of(48, 40, channels, 30 + channels))
        (folder / f"{name}.png").write_bytes(data)
    tifffile.imwrite(folder / "deep.tif", words_of(48, 40, 3, 36), photometric="rgb")
    tifffile.imwrite(folder / "float.tif", scene(48, 40, 3, 37).astype(np.float32), photometric="rgb")
    with tifffile.TiffWriter(folder / "pages.tif") as writer:
        for seed in (38, 39):
            writer.write(bytes_of(40, 32, 3, seed), photometric="rgb", metadata=None)


def make_tree(folder: Path, pictures: int = 5, side: int = 32) -> None:
    """Write a tree of pictures, every other one in a folder below."""
    for number in range(pictures):
        place = folder / ("below/deep" if number % 2 else ".")
        place.mkdir(parents=True, exist_ok=True)
        suffix = "jpg" if number % 3 == 2 else "png"
        image(3, 50 + number, side, side - 4).save(place / f"picture_{number}.{suffix}")


def make_clips(folder: Path) -> None:
    """Write a clip with sound and a gray one."""
    make_clip(folder / "color.mp4", "1")
    source = ("-f", "lavfi", "-i", "testsrc2=size=48x32:rate=10", "-t", "0.6")
    ffmpeg(*source, "-pix_fmt", "gray", "-c:v", "ffv1", str(folder / "gray.mkv"))


def make_clip(file: Path, seconds: str) -> None:
    """Write a moving picture with a tone, 10 frames a second."""
    picture = ("-f", "lavfi", "-i", "testsrc2=size=48x32:rate=10")
    tone = ("-f", "lavfi", "-i", "sine=frequency=440")
    ffmpeg(*picture, *tone, "-t", seconds, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", str(file))


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg; one thread and no names of versions, so that it writes the same bytes again."""
    begin_, last = arguments[:-1], arguments[-1]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *begin_, "-threads", "1", "-bitexact", last]
    subprocess.run(command, check=True)


def begin(folder: Path, home: Path) -> int:
    """Make undisturbed results in `folder`, and runs that are killed as soon as a part of them is finished."""
    if folder.exists():
        raise SystemExit(f"{folder} exists; name a new folder")
    make_tree(folder / "pictures", PICTURES, 80)
    make_clip(folder / "clip.mp4", SECONDS)
    for command in BEGUN:
        esrt(begun(command, "undisturbed"), folder, home)
        with start(begun(command, "begun"), folder, home) as process:
            while process.poll() is None and not far_enough(command, folder / "begun"):
                time.sleep(0.005)
            if process.poll() is not None:
                raise SystemExit(f"{command}: ended before it could be killed")
            os.killpg(process.pid, signal.SIGKILL)  # ffmpeg too
        print(f"{command}: killed with {len(finished(command, folder / 'begun'))} finished")
    return 0


def finish(folder: Path, home: Path) -> int:
    """Run the commands again; return 1 unless finished work was kept and the results are those of whole runs."""
    faults = []
    for command in BEGUN:
        before = last = finished(command, folder / "begun")
        with start(begun(command, "begun"), folder, home) as process:
            while process.poll() is None:  # segments are removed in the end: look at them on the way
                last = finished(command, folder / "begun") or last
                time.sleep(0.005)
            output = process.stdout.read() if process.stdout else b""
        if process.returncode:
            raise SystemExit(f"{command}: exit code {process.returncode}")
        esrt(begun(command, "anew"), folder, home)
        made = made_now(command, [json.loads(line) for line in output.splitlines()])
        wanted = PICTURES - len(before) if command == "batch" else (int(SECONDS) - len(before)) * RATE
        print(f"{command}: {len(before)} finished before, {made} {NOUNS[command]} made now")
        faults += [f"{command}: nothing was finished before"] * (not before)
        faults += [f"{command}: {name} was made again" for name in before if last.get(name) != before[name]]
        faults += [f"{command}: {made} made now instead of {wanted}"] * (made != wanted)
    results = {name: hash_files(folder / name) for name in ("begun", "undisturbed", "anew")}
    faults += [f"results are not those of the run {name}" for name in results if results[name] != results["begun"]]
    print("\n".join(faults or [f"{len(results['begun'])} results as of undisturbed runs, before and now"]))
    return 1 if faults else 0


def begun(command: str, target: str) -> list[str]:
    """Return the arguments of a run with its results in the folder `target`."""
    return [command, *BEGUN[command].split(), "-o", f"{target}/"]


def start(arguments: Sequence[str], folder: Path, home: Path) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    command = [sys.executable, "-m", "esrt_cli", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment(home), stdout=subprocess.PIPE, start_new_session=True)


def far_enough(command: str, folder: Path) -> bool:
    """Tell whether two pictures are done by the manifest, or the segment after the first one is being written."""
    if command == "video":
        return len(list(folder.glob(".*.esrt-work/segment_*"))) > 1
    manifest = folder / ".esrt-manifest.jsonl"
    return manifest.exists() and manifest.read_text().count('"state": "done"') > 1


def finished(command: str, folder: Path) -> dict[str, tuple[int, int]]:
    """Return {name: (inode, time of change)} of the results of a batch, or of the finished segments of a clip."""
    places = (
        folder.glob(".*.esrt-work/segment_*.nut") if command == "video" else map(folder.joinpath, hash_files(folder))
    )
    found = {}
    for place in places:
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            found[place.name] = (place.stat().st_ino, place.stat().st_mtime_ns)
    return found


def made_now(command: str, records: Sequence[dict[str, Any]]) -> int:
    """Return how many pictures, or frames, a run says that it made."""
    if command == "batch":
        return sum("target" in record for record in records)
    return sum(int(record["frames_computed"]) + int(record["frames_reused"]) for record in records)


if __name__ == "__main__":
    sys.exit(main())
