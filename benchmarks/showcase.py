"""Make README's pictures: python -m benchmarks.showcase PICTURE RESULT.png --at 200 100 --model photo.

A picture is reduced by the scale as the field does it and enlarged again; the sheet shows the same region of the small
picture, of bicubic and of ESRT. With --drawing the picture is a drawn one of that seed instead of a file.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import esrt_core
from benchmarks.drawings import draw_graphic
from esrt_core.evaluation.resample import imresize
from esrt_core.media.contact_sheet import Row, draw_sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("result", type=Path)
    parser.add_argument("--drawing", type=int, help="seed of a drawn picture, in place of a file")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--at", type=int, nargs=2, default=(0, 0), help="left and top of the region in the result, px")
    parser.add_argument("--side", type=int, default=288, help="side of the region in the result, px")
    options = parser.parse_args()
    if options.drawing is None:
        truth = np.asarray(Image.open(options.picture).convert("RGB"))
    else:
        truth = draw_graphic(options.drawing, 480)
    scale, height, width = options.scale, truth.shape[0], truth.shape[1]
    truth = truth[: height - height % scale, : width - width % scale]
    small = imresize(truth, height // scale, width // scale)
    size = truth.shape[1], truth.shape[0]
    enlarged = {
        "source": np.asarray(Image.fromarray(small).resize(size, Image.Resampling.NEAREST)),
        "bicubic": np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)),
        "ESRT": esrt_core.upscale(small, scale, options.model),
    }
    left, top = options.at
    region = np.s_[top : top + options.side, left : left + options.side]
    row = Row("", tuple(picture[region] for picture in enlarged.values()))
    title = f"{small.shape[1]} x {small.shape[0]} px to {size[0]} x {size[1]} px (a part)"
    Image.fromarray(draw_sheet(title, list(enlarged), [row]).planes[0]).save(options.result, optimize=True)


if __name__ == "__main__":
    main()
