"""Scores as a table, as JSON, and in words."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler
    from esrt_core.evaluation.evaluate import Evaluation
    from esrt_core.evaluation.protocol import Score
    from esrt_core.weights.store import WeightsFile


def setting_line(weights: WeightsFile, upscaler: Upscaler) -> str:
    """Say with what the figures are made."""
    tile = upscaler.plan(64, 64).tile
    form = "whole pictures, the paper's form" if tile == 0 else f"tiles of {tile} px (--tile 0: whole pictures)"
    return f"{weights.name} x{weights.scale} on {upscaler.device_name} in {upscaler.precision}, {form}"


def evaluation_json(evaluation: Evaluation) -> str:
    """Return an evaluation as one JSON object on one line.

    A PSNR without bound (two equal pictures) is null; `failures` is there only where a picture could not be measured.
    """
    pictures = [
        {"name": picture.name, "bicubic": _as_dict(picture.bicubic), "esrt": _as_dict(picture.esrt)}
        for picture in evaluation.pictures
    ]
    mean = None
    if evaluation.pictures:
        mean = {"bicubic": _as_dict(evaluation.mean_bicubic), "esrt": _as_dict(evaluation.mean_esrt)}
    record: dict[str, object] = {"scale": evaluation.scale, "pictures": pictures, "mean": mean}
    if evaluation.failures:
        record["failures"] = [{"name": failure.name, "reason": failure.reason} for failure in evaluation.failures]
    return json.dumps(record)


def print_table(evaluation: Evaluation) -> None:
    """Print one row a picture and the mean on standard output."""
    from rich.console import Console as Terminal
    from rich.table import Table
    from rich.text import Text

    from esrt_cli.console import printable

    table = Table(title=f"x{evaluation.scale}, PSNR (dB) and SSIM on Y")
    table.add_column("picture", overflow="fold")
    for heading in ("bicubic", "SSIM", "ESRT", "SSIM", "gain"):
        table.add_column(heading, justify="right", no_wrap=True)
    for picture in evaluation.pictures:
        table.add_row(Text(printable(picture.name)), *_cells(picture.bicubic, picture.esrt))
    table.add_section()
    table.add_row(Text("mean"), *_cells(evaluation.mean_bicubic, evaluation.mean_esrt))
    Terminal(file=sys.stdout, width=None if sys.stdout.isatty() else 100).print(table)


def _cells(bicubic: Score, esrt: Score) -> tuple[str, ...]:
    gain = esrt.psnr - bicubic.psnr
    return (
        f"{bicubic.psnr:.2f}",
        f"{bicubic.ssim:.4f}",
        f"{esrt.psnr:.2f}",
        f"{esrt.ssim:.4f}",
        "" if math.isnan(gain) else f"{gain:+.2f}",
    )


def _as_dict(score: Score) -> dict[str, float | None]:
    return {"psnr": score.psnr if math.isfinite(score.psnr) else None, "ssim": score.ssim}
