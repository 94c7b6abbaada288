"""Find the compression from which the photo weights are better than the clean ones: the rule of `--model auto`.

    python -m benchmarks.auto HELDOUT_FOLDER --scale 2 > benchmarks/auto.md

Pictures are reduced, saved lossily, upscaled by both weights, and compared with the undamaged picture: PSNR in dB on Y.
Only the center of each picture is used. A clip is one picture that moves by a pixel per frame; its middle frame is
measured. Use one half of the folder to choose the rule.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import pillow_heif
from PIL import Image

from benchmarks.photo import by_bicubic
from benchmarks.quality import HALVES, enlarger
from esrt_core.engine.options import EngineOptions
from esrt_core.evaluation.dataset import Pair, find_pictures, read_pair
from esrt_core.evaluation.protocol import Rgb, psnr_y
from esrt_core.media.frame import Frame
from esrt_core.media.image.picture import ReadLimits
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import configure_process

Saved = tuple[Rgb, float]  # LR as it is read again, bits a px
Save = Callable[[Rgb], Saved]

FRAMES = 97  # of a clip; the middle one is measured


def main() -> None:
    configure_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--half", choices=HALVES, default="choose")
    parser.add_argument("--only", default="", help="rows whose name begins so")
    parser.add_argument("--side", type=int, default=240, help="px of the part that is taken")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    pillow_heif.register_heif_opener()
    paths = find_pictures(options.folder)[HALVES[options.half]]
    pairs = [middle(read_pair(path, None, options.scale, ReadLimits()), options.scale, options.side) for path in paths]
    pool = [
        UpscalerPool(model, EngineOptions(threads=options.threads, precision="fp32")) for model in ("clean", "photo")
    ]
    print(f"| {len(pairs)} pictures, x{options.scale} | bits a px | bicubic | clean | photo | photo - clean |")
    print("|---|---|---|---|---|---|")
    for name, save in losses():
        if not name.startswith(options.only):
            continue
        bits, bicubic, clean, photo = measured(pairs, options.scale, save, pool)
        print(f"| {name} | {bits:.2f} | {bicubic:.2f} | {clean:.2f} | {photo:.2f} | {photo - clean:+.2f} |", flush=True)


def middle(pair: Pair, scale: int, side: int) -> Pair:
    """Return the center of a pair, with sides of at most `side` HR px."""
    small = side // scale
    top, left = ((length - small) // 2 if length > small else 0 for length in pair.lr.shape[:2])
    lr = np.ascontiguousarray(pair.lr[top : top + small, left : left + small])
    hr = pair.hr[top * scale : (top + small) * scale, left * scale : (left + small) * scale]
    return replace(pair, lr=lr, hr=np.ascontiguousarray(hr))


def losses() -> Iterator[tuple[str, Save]]:
    """Yield the name of every way of saving, and the function."""
    yield "lossless", lambda lr: (lr, 24.0)
    for chroma, qualities in (("4:4:4", (97, 95, 92, 85)), ("4:2:0", (97, 95, 94, 93, 92, 90, 85, 75, 50))):
        for quality in qualities:
            yield f"JPEG {quality} {chroma}", partial(saved, "JPEG", quality=quality, subsampling=chroma)
    for format_, qualities in (("WEBP", (98, 95, 90, 80)), ("AVIF", (98, 90, 75, 60)), ("HEIF", (60, 50, 40, 30))):
        for quality in qualities:
            yield f"{format_} {quality}", partial(saved, format_, quality=quality, subsampling=None)
    for codec, rates in (("libx264", (12, 16, 20, 24, 28)), ("libx265", (20, 24, 28))):
        for rate in rates:
            yield f"{codec} crf {rate}", partial(filmed, codec, rate)


def saved(format_: str, lr: Rgb, quality: int, subsampling: str | None) -> Saved:
    file = io.BytesIO()
    chroma = {} if subsampling is None else {"subsampling": subsampling}
    Image.fromarray(lr).save(file, format_, quality=quality, **chroma)
    return np.asarray(Image.open(file).convert("RGB")), 8 * len(file.getvalue()) / (lr.shape[0] * lr.shape[1])


def filmed(codec: str, rate: int, lr: Rgb) -> Saved:
    """Encode a clip of a picture that slides to the left; return the frame in which it is not shifted."""
    file, middle = io.BytesIO(), FRAMES // 2
    height, width = (side - side % 2 for side in lr.shape[:2])
    with av.open(file, "w", "matroska") as made:
        stream = made.add_stream(
            codec, 25, options={"crf": str(rate), "preset": "medium", "x265-params": "log-level=none"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(FRAMES):
            slid = np.ascontiguousarray(np.roll(lr, middle - index, axis=1)[:height, :width])
            made.mux(stream.encode(av.VideoFrame.from_ndarray(slid, "rgb24")))
        made.mux(stream.encode())
    bits = 8 * len(file.getvalue()) / (FRAMES * width * height)
    file.seek(0)
    with av.open(file, "r") as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    whole = lr.copy()
    whole[:height, :width] = frames[middle]
    return whole, bits


def measured(pairs: list[Pair], scale: int, save: Save, pool: list[UpscalerPool]) -> tuple[float, ...]:
    """Return the mean bits per px and the mean PSNR of bicubic and both weights."""
    enlargers = [by_bicubic(scale), *(enlarger(engine, scale) for engine in pool)]
    values = []
    for pair in pairs:
        lr, bits = save(pair.lr)
        values.append([bits, *(psnr_y(each(Frame((lr,))).planes[0], pair.hr, scale) for each in enlargers)])
    return tuple(float(value) for value in np.mean(values, axis=0))


if __name__ == "__main__":
    main()
