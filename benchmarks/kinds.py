"""Measure every kind of weights on damaged pictures, once: the table behind `--model auto`.

    python -m benchmarks.kinds CACHE --photos FOLDER ... --drawings FOLDER --set fit
    python -m benchmarks.kinds CACHE --photos HELDOUT --drawings UNSEEN --set report

The cache is a folder. A row is one picture with one damage at one scale: its damaged LR, the PSNR on Y in dB of
bicubic, and of every kind the squared error on Y against the undamaged picture, summed over each block of 8 x 8 px of
the LR: what a kind gains is in some places of a picture and not in others, and a rule learns more from where. Rows that
are there already are kept; a kind's column belongs to the hashes of its weights, so that new weights are measured anew
and nothing else is. Kinds without weights of a scale take the passes that `esrt upscale` takes. The report is about
whole pictures, or with --side about parts of them, which take less time; to fit, one part of each picture is used, at a
place drawn from its number. A cache belongs to one side.
"""

import argparse
import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.damages import Damage, Damaged, drawn, reported
from esrt_core.engine.options import EngineOptions
from esrt_core.evaluation.dataset import find_pictures, read_rgb
from esrt_core.evaluation.protocol import Rgb, bicubic, luma_bt601, make_lr, psnr_y
from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import ReadLimits
from esrt_core.pipeline.enlarge import enlarge
from esrt_core.pipeline.sizes import SizePlan, SizeRequest, exact, plan_size
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import configure_process

SCALES = (2, 4, 3)
SETS = ("fit", "report")
SIDE = 96  # px of the LR of what is used to fit
ALL_DAMAGES = 99
BLOCK = 8  # px of the LR, a side of what errors are summed over
SEED = 20261128


@dataclass(frozen=True)
class Row:
    """Describe one damaged picture; `crop` is what a crop takes from its top and left, px."""

    picture: str
    drawing: bool
    place: int
    scale: int
    damage: str
    container: str
    bits: float
    quality: int | None
    reduced_color: bool
    crop: tuple[int, int]
    bicubic: float


@dataclass(frozen=True)
class Job:
    """Say which picture is to be measured at which scale, and where the result is kept."""

    folder: Path
    set: str
    path: Path
    drawing: bool
    place: int
    scale: int
    kinds: tuple[str, ...]
    damages: int = ALL_DAMAGES
    side: int | None = None  # px of the LR of the part that is used; None for whole pictures
    named: tuple[str, ...] = ()  # damages; () for all

    @property
    def stem(self) -> str:
        kind = "drawing" if self.drawing else "photo"
        return f"{self.set}-{kind}-{self.place:04d}-x{self.scale}"

    def random(self) -> np.random.Generator:
        return np.random.default_rng((SEED, zlib.crc32(self.set.encode()), self.drawing, self.place, self.scale))


def main() -> None:
    options = parse()
    options.cache.mkdir(parents=True, exist_ok=True)
    jobs = list(ordered(options))
    with ProcessPoolExecutor(options.jobs) as pool:
        for number, _ in enumerate(pool.map(measure_picture, jobs), 1):
            if number % 50 == 0 or number == len(jobs):
                print(f"{number} of {len(jobs)}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--drawings", type=Path, nargs="*", default=[])
    parser.add_argument("--set", choices=SETS, default="fit")
    parser.add_argument("--count", type=int, default=220, help="photos, spread evenly over the folders")
    parser.add_argument("--kinds", nargs="*", default=["clean", "photo", "drawing"], help="of drawings")
    parser.add_argument("--photo-kinds", nargs="*", default=["clean", "photo", "drawing"], help="of photos")
    parser.add_argument("--scales", type=int, nargs="+", default=list(SCALES))
    parser.add_argument(
        "--damages", type=int, default=ALL_DAMAGES, help="of each picture: undamaged, and others drawn from all"
    )
    parser.add_argument("--named", nargs="+", default=[], help="damages of the report, if not all")
    parser.add_argument("--side", type=int, help="px of the LR of parts to report; default: whole")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if options.set == "fit":
        options.side = SIDE
    return options


def ordered(options: argparse.Namespace) -> Iterator[Job]:
    """Yield the jobs; in the first round every picture has one scale, so that a part of the table has all of both."""
    photos = [path for folder in options.photos for path in find_pictures(folder)]
    if len(photos) > options.count:
        photos = [photos[round(place)] for place in np.linspace(0, len(photos) - 1, options.count)]
    drawings = [path for folder in options.drawings for path in find_pictures(folder)]
    for turn in range(len(options.scales)):
        for place in range(max(len(photos), len(drawings))):
            scale = options.scales[(place + turn) % len(options.scales)]
            for paths, drawing, kinds in ((photos, False, options.photo_kinds), (drawings, True, options.kinds)):
                if place < len(paths):
                    measured = tuple(kinds), options.damages, options.side, tuple(options.named)
                    yield Job(options.cache, options.set, paths[place], drawing, place, scale, *measured)


def measure_picture(job: Job) -> None:
    """Make the rows of a picture and the columns of all kinds, as far as they are not there."""
    table = job.folder / f"{job.stem}.npz"
    hr, lr = part(job)
    if not table.is_file():
        rows, pixels = damaged_rows(job, hr, lr)
        whole = table.with_suffix(".part")
        with whole.open("wb") as file:
            np.savez_compressed(file, lr=np.stack(pixels), rows=np.array(json.dumps([asdict(row) for row in rows])))
        whole.replace(table)
    pixels = np.load(table)["lr"]
    if pixels.shape[1:] != lr.shape:
        raise SystemExit(f"{table} is of another --side or of other pictures; name another cache")
    for kind in job.kinds:
        column = job.folder / f"{job.stem}.{kind}-{digest(kind, job.scale)}.npy"
        if not column.is_file():
            write_column(column, np.stack([errors(enlarged(lr, kind, job.scale), hr, job.scale) for lr in pixels]))


def errors(result: Rgb, hr: Rgb, scale: int) -> NDArray[np.float32]:
    """Return the squared error on Y, summed over blocks of the LR; like PSNR's, without a border of `scale` px."""
    squared = np.square(luma_bt601(result) - luma_bt601(hr))
    squared[:scale] = squared[-scale:] = squared[:, :scale] = squared[:, -scale:] = 0
    side = BLOCK * scale
    rows, columns = (length // side for length in squared.shape)
    return np.asarray(squared.reshape(rows, side, columns, side).sum((1, 3)), np.float32)


def psnr_of(sums: NDArray[np.float32], scale: int) -> NDArray[np.float64]:
    """Return PSNR in dB of errors (..., blocks, blocks)."""
    height, width = (count * BLOCK * scale - 2 * scale for count in sums.shape[-2:])
    area = height * width
    found: NDArray[np.float64] = 10 * np.log10(255**2 * area / np.maximum(sums.sum((-2, -1), dtype=np.float64), 1e-3))
    return found


def write_column(path: Path, values: NDArray[np.float32]) -> None:
    whole = path.with_suffix(".part")
    with whole.open("wb") as file:
        np.save(file, values)
    whole.replace(path)


def part(job: Job) -> tuple[Rgb, Rgb]:
    """Return the picture, or the part of it that is used, in whole blocks of the LR, and its LR."""
    whole, unit = read_rgb(job.path, ReadLimits()), BLOCK * job.scale
    sides = [length // unit * unit if job.side is None else job.side * job.scale for length in whole.shape[:2]]
    random = np.random.default_rng((SEED, job.place))  # one place for all scales
    top, left = (round(random.random() * (length - side)) for length, side in zip(whole.shape[:2], sides, strict=True))
    hr = np.ascontiguousarray(whole[top : top + sides[0], left : left + sides[1]])
    return hr, make_lr(hr, job.scale)


def damaged_rows(job: Job, hr: Rgb, lr: Rgb) -> tuple[list[Row], list[Rgb]]:
    random = job.random()
    rows, pixels = [], []
    for name, damage in damages(job, random).items():
        made = damage(lr, random)
        top, left = (int(value) for value in random.integers(1, 8, 2))
        base = psnr_y(bicubic(made.lr, job.scale), hr, job.scale)
        rows.append(
            Row(job.path.name, job.drawing, job.place, job.scale, name, made.container, made.bits, made.quality,
                made.reduced_color, (top, left), base)
        )  # fmt: skip
        pixels.append(made.lr)
    return rows, pixels


def damages(job: Job, random: np.random.Generator) -> dict[str, Damage]:
    chosen = dict(reported() if job.set == "report" else drawn(random))
    if job.drawing and job.set == "report":
        chosen = {name: damage for name, damage in chosen.items() if name in DRAWN}
    if job.named:
        return {name: damage for name, damage in chosen.items() if name in job.named}
    names = list(chosen)
    others = random.permutation(len(names) - 1)[: job.damages - 1] + 1  # the first is undamaged
    return {names[place]: chosen[names[place]] for place in (0, *sorted(others.tolist()))}


DRAWN = ("undamaged", "JPEG 50", "JPEG 80", "JPEG 95", "noise 4", "WebP 80", "AVIF 60", "H.264 crf 22")


def enlarged(lr: Rgb, kind: str, scale: int) -> Rgb:
    pool = _pool(kind)
    return enlarge(Frame((lr,)), plan(kind, scale, lr), pool.for_chain(_chain(kind))).frame.planes[0]


def plan(kind: str, scale: int, lr: Rgb) -> SizePlan:
    chain = _chain(kind)
    request = SizeRequest(factor=exact(scale, "scale"))
    return plan_size(request, lr.shape[1], lr.shape[0], chain.scales, chain.later_scales)


@lru_cache(maxsize=8)
def digest(kind: str, scale: int) -> str:
    """Return a short hash of the weights of the passes that a kind takes."""
    pool = _pool(kind).for_chain(_chain(kind))
    passes = plan(kind, scale, np.zeros((64, 64, 3), np.uint8)).passes
    return "-".join(pool.weights(each, index).sha256[:8] for index, each in enumerate(passes))


def _chain(kind: str) -> Any:
    return _pool(kind).selector.plain


@lru_cache(maxsize=4)
def _pool(kind: str) -> UpscalerPool:
    configure_process()
    return UpscalerPool(kind, EngineOptions(threads=1, precision="fp32"))


@dataclass(frozen=True)
class Table:
    """Hold the rows that are measured for some kinds.

    lr      the damaged pixels of every row.
    errors  (kinds, blocks, blocks) of every row, see errors(); NaN for kinds that were not measured.
    """

    rows: Sequence[Row]
    lr: Sequence[Rgb]
    errors: Sequence[NDArray[np.float32]]

    @property
    def psnr(self) -> NDArray[np.float64]:
        """Return PSNR in dB, (rows, kinds)."""
        return np.stack([psnr_of(each, row.scale) for row, each in zip(self.rows, self.errors, strict=True)])


def load_table(folder: Path, set_: str, kinds: Sequence[str]) -> Table:
    """Return all rows of a set, with NaN for kinds that were not measured with the present weights."""
    rows: list[Row] = []
    pixels: list[Rgb] = []
    measured: list[NDArray[np.float32]] = []
    for path in sorted(folder.glob(f"{set_}-*.npz")):
        with np.load(path) as file:
            mine = [Row(**{**row, "crop": tuple(row["crop"])}) for row in json.loads(str(file["rows"]))]
            pixels += list(file["lr"])
        rows += mine
        missing = np.full((len(mine), *(side // BLOCK for side in pixels[-1].shape[:2])), np.nan, np.float32)
        files = [path.with_name(f"{path.stem}.{kind}-{digest(kind, mine[0].scale)}.npy") for kind in kinds]
        measured += list(np.stack([np.load(each) if each.is_file() else missing for each in files], axis=1))
    return Table(rows, pixels, measured)


def as_damaged(row: Row, lr: Rgb) -> Damaged:
    return Damaged(lr, row.container, row.bits, row.quality, row.reduced_color)


if __name__ == "__main__":
    main()
