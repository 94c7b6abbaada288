"""What does `--strength` gain? python -m benchmarks.strength CACHE --photos HELDOUT [--picture docs/strength.png]

Takes the JPEGs of the report table of benchmarks.kinds. PSNR in dB on Y against the undamaged photo: the better one of
the clean and the photo weights for each photo, and how far blends of their results are above or below it. The picture
shows a drawing of our own that was a noisy JPEG: bicubic, and the strengths 0, 0.5 and 1.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.damages import noisy_jpeg
from benchmarks.drawings import draw
from benchmarks.kinds import Job, enlarged, load_table, part
from esrt_core.evaluation.dataset import find_pictures
from esrt_core.evaluation.protocol import Rgb, bicubic, make_lr, psnr_y

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
DAMAGES = ("JPEG 80", "JPEG 85", "JPEG 90", "JPEG 92 4:4:4", "JPEG 95")
SEED, LEFT, TOP, SIDE = 7, 60, 60, 120  # of the drawing, and the part of its LR that is shown, px


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.picture:
        Image.fromarray(shown()).save(options.picture, optimize=True)
    paths, table = find_pictures(options.photos), load_table(options.cache, "report", ("clean", "photo"))
    found: dict[tuple[int, str], list[list[float]]] = {}
    for row, lr in zip(table.rows, table.lr, strict=True):
        if not row.drawing and row.scale in options.scales and row.damage in DAMAGES:
            job = Job(options.cache, "report", paths[row.place], False, row.place, row.scale, ())
            found.setdefault((row.scale, row.damage), []).append(measured(lr, part(job)[0], row.scale))
    print("| damage | scale | photos | better one | " + " | ".join(f"{each:g}" for each in STRENGTHS) + " |")
    print("|---|---|---|---|" + "---|" * len(STRENGTHS))
    for (scale, damage), rows in sorted(found.items()):
        values = np.array(rows)
        better = values[:, [0, -1]].max(1)
        gains = " | ".join(f"{gain:+.2f}" for gain in (values - better[:, None]).mean(0))
        print(f"| {damage} | x{scale} | {len(rows)} | {better.mean():.2f} | {gains} |")


def measured(lr: Rgb, hr: Rgb, scale: int) -> list[float]:
    """Return the PSNR of every strength."""
    clean, photo = enlarged(lr, "clean", scale), enlarged(lr, "photo", scale)
    return [psnr_y(blend(clean, photo, strength), hr, scale) for strength in STRENGTHS]


def blend(clean: Rgb, photo: Rgb, strength: float) -> Rgb:
    mixed = clean + strength * (photo.astype(np.float32) - clean)
    return np.asarray(np.floor(mixed + 0.5), np.uint8)


def shown() -> Rgb:
    """Return four enlargements by 2 side by side, with their names."""
    lr = make_lr(draw(SEED, 480), 2)[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    lr = noisy_jpeg(5, 60, np.ascontiguousarray(lr), np.random.default_rng(SEED)).lr
    clean, photo = enlarged(lr, "clean", 2), enlarged(lr, "photo", 2)
    parts = {"bicubic": bicubic(lr, 2)} | {f"--strength {s:g}": blend(clean, photo, s) for s in (0, 0.5, 1)}
    image = Image.new("RGB", (len(parts) * (2 * SIDE + 8) - 8, 2 * SIDE + 16), "white")
    for place, (name, pixels) in enumerate(parts.items()):
        image.paste(Image.fromarray(pixels), (place * (2 * SIDE + 8), 16))
        ImageDraw.Draw(image).text((place * (2 * SIDE + 8) + 2, 2), name, fill="black")
    return np.array(image)


if __name__ == "__main__":
    main()
