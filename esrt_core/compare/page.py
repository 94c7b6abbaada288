"""One HTML page that shows candidates under a slider; everything is inside, nothing is loaded."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from PIL import Image

from esrt_core.compare.gain import Score
from esrt_core.evaluation.comparison import Candidate, Place, comparison_title, differing_places
from esrt_core.evaluation.protocol import Rgb
from esrt_core.media.frame import Frame

CROP = 240  # px of the result; less where three would not fit
SHOWN = 480  # px of the page that a crop is enlarged to, by whole pixels
_TEMPLATE = Path(__file__).with_name("page.html")


def comparison_page(name: str, source: Frame, candidates: Sequence[Candidate], scores: Sequence[Score]) -> str:
    """Return the page: a slider over each place where the candidates differ most, and the figures in dB."""
    labels = ["source", *(candidate.label for candidate in candidates)]
    places = differing_places(source, candidates, CROP)
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(_printable(name)),
        summary=escape(comparison_title(source, candidates)),
        left=_options(labels, chosen=1),
        right=_options(labels, chosen=len(labels) - 1),
        figures="\n".join(_figure(place, labels) for place in places),
        rows="\n".join(_row(score) for score in scores),
    )


def data_uri(pixels: Rgb) -> str:
    """Return a picture as lossless WebP inside an address; every browser since 2020 shows it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _options(labels: Sequence[str], chosen: int) -> str:
    return "".join(
        f'<option value="{index}"{" selected" if index == chosen else ""}>{escape(_printable(label))}</option>'
        for index, label in enumerate(labels)
    )


def _figure(place: Place, labels: Sequence[str]) -> str:
    """Return one place: its pictures on top of each other, the slider below."""
    height, width = place.source.shape[:2]
    shown = width * max(SHOWN // width, 1)
    sides = {1: "left", len(labels) - 1: "right"}
    images = "\n".join(
        f'<img class="{sides.get(index, "")}" alt="{escape(_printable(label))}" src="{data_uri(pixels)}" '
        f'width="{width}" height="{height}">'
        for index, (label, pixels) in enumerate(zip(labels, (place.source, *place.crops), strict=True))
    )
    return (
        f'<figure style="width: {shown}px">\n<div class="stage">\n{images}\n<div class="line"></div>\n</div>\n'
        f'<input type="range" min="0" max="100" value="50" aria-label="Line between left and right, {place.caption}">\n'
        f"<figcaption>{place.caption}</figcaption>\n</figure>"
    )


def _row(score: Score) -> str:
    psnr = "" if score.psnr is None else f"{score.psnr:.2f}"
    gain = "" if score.gain is None else f"{score.gain:+.2f}"
    return f'<tr><th scope="row">{escape(_printable(score.label))}</th><td>{psnr}</td><td>{gain}</td></tr>'


def _printable(text: str) -> str:
    """Replace what a page cannot hold, such as bytes of a name that are no UTF-8."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
