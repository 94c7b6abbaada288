"""A self-contained HTML page that compares candidates under a slider."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from PIL import Image

from esrt_core.compare.gain import Score
from esrt_core.evaluation.comparison import Candidate, Region, comparison_title, most_different_regions
from esrt_core.evaluation.protocol import Rgb
from esrt_core.media.frame import Frame

CROP = 240  # px of the result; smaller if three crops of that size do not fit
SHOWN = 480  # px of the page; crops are enlarged up to this by an integer factor
_TEMPLATE = Path(__file__).with_name("page.html")


def comparison_page(
    name: str, source: Frame, candidates: Sequence[Candidate], scores: Sequence[Score], is_damaged: bool = False
) -> str:
    """Return the page: a slider over each region where candidates differ most, and the figures in dB.

    `is_damaged` is whether the reduced picture was damaged, so that gains are those expected of the picture itself.
    """
    labels = ["source", *(candidate.label for candidate in candidates)]
    regions = most_different_regions(source, candidates, CROP)
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(_printable(name)),
        summary=escape(comparison_title(source, candidates)),
        left=_options(labels, chosen=1),
        right=_options(labels, chosen=len(labels) - 1),
        figures="\n".join(_figure(region, labels) for region in regions),
        rows="\n".join(_row(score) for score in scores),
        damaged=", damaged alike" if is_damaged else "",
        gain="expected above bicubic" if is_damaged else "above bicubic",
    )


def data_uri(pixels: Rgb) -> str:
    """Return a picture (H, W, 3) as a data URI of lossless WebP, which every browser since 2020 shows."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _options(labels: Sequence[str], chosen: int) -> str:
    return "".join(
        f'<option value="{index}"{" selected" if index == chosen else ""}>{escape(_printable(label))}</option>'
        for index, label in enumerate(labels)
    )


def _figure(region: Region, labels: Sequence[str]) -> str:
    """Return the figure of one region: its pictures on top of each other, and the slider below."""
    height, width = region.source.shape[:2]
    shown = width * max(SHOWN // width, 1)
    sides = {1: "left", len(labels) - 1: "right"}
    images = "\n".join(
        f'<img class="{sides.get(index, "")}" alt="{escape(_printable(label))}" src="{data_uri(pixels)}" '
        f'width="{width}" height="{height}">'
        for index, (label, pixels) in enumerate(zip(labels, (region.source, *region.crops), strict=True))
    )
    return (
        f'<figure style="width: {shown}px">\n<div class="stage">\n{images}\n<div class="line"></div>\n</div>\n'
        '<input type="range" min="0" max="100" value="50" '
        f'aria-label="Line between left and right, {region.caption}">\n'
        f"<figcaption>{region.caption}</figcaption>\n</figure>"
    )


def _row(score: Score) -> str:
    psnr = "" if score.psnr is None else f"{score.psnr:.2f}"
    gain = "" if score.gain is None else f"{score.gain:+.2f}"
    return f'<tr><th scope="row">{escape(_printable(score.label))}</th><td>{psnr}</td><td>{gain}</td></tr>'


def _printable(text: str) -> str:
    """Replace characters that a page cannot hold, such as bytes of a name that is not UTF-8."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
