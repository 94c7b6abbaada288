"""Draw a sheet of labeled crops side by side, with Pillow's default font."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from esrt_core.media.frame import Frame

Rgb = NDArray[np.uint8]  # (H, W, 3)

MARGIN = 12  # px
_LINE = 20  # height of a line of text, px
_FONT_SIZE = 14
_PAPER, _INK, _GRAY = (255, 255, 255), (20, 20, 20), (110, 110, 110)


@dataclass(frozen=True)
class Row:
    """Hold crops of the same region, one for each column, and a caption."""

    caption: str
    crops: tuple[Rgb, ...]


def draw_sheet(title: str, columns: Sequence[str], rows: Sequence[Row], cell: int = 288) -> Frame:
    """Draw rows of crops under the column labels, each crop enlarged by an integer factor to about `cell` px.

    All crops of all rows have the same shape (H, W, 3).

    Raises: ValueError if there are no rows or a row does not have one crop for each column.
    """
    if not rows or any(len(row.crops) != len(columns) for row in rows):
        raise ValueError("a sheet needs rows, each with one crop for each column")
    zoom = max(cell // max(rows[0].crops[0].shape[:2]), 1)
    height, width = (side * zoom for side in rows[0].crops[0].shape[:2])
    step_x, step_y = max(width, cell) + MARGIN, height + _LINE + MARGIN
    head = MARGIN + 2 * _LINE
    sheet = Image.new("RGB", (MARGIN + step_x * len(columns), head + step_y * len(rows)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    draw.text((MARGIN, MARGIN // 2), _fitted(title, sheet.width - 2 * MARGIN, font), _INK, font)
    for index, label in enumerate(columns):
        left = MARGIN + index * step_x
        draw.text((left, MARGIN // 2 + _LINE), _fitted(label, step_x - MARGIN, font), _INK, font)
        for number, row in enumerate(rows):
            top = head + number * step_y
            sheet.paste(_enlarged(row.crops[index], zoom), (left, top))
            if index == 0:
                draw.text((left, top + height), _fitted(row.caption, sheet.width - 2 * MARGIN, font), _GRAY, font)
    return Frame((np.asarray(sheet),))


def _enlarged(crop: Rgb, zoom: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(crop.repeat(zoom, axis=0).repeat(zoom, axis=1)))


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Shorten a text in the middle until it fits `width` px; unprintable characters become question marks."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    shown, keep = text, len(text)
    while font.getlength(shown) > width and keep > 2:
        keep -= 1
        shown = f"{text[: keep // 2]}...{text[len(text) - keep // 2 :]}"
    return shown
