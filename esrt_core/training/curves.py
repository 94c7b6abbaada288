"""The curves of a run: loss and PSNR over its steps."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from esrt_core.files import atomic_write

Rows = Sequence[dict[str, str]]


def draw_curves(rows: Rows, bicubic_psnr: float, start_psnr: float, target: Path) -> None:
    """Draw the rows of log.csv as a PNG: the loss above, PSNR beside bicubic and the start below."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, sharex=True)
    above.plot(*_series(rows, "loss"), linewidth=0.8, color="tab:blue")
    above.set(ylabel="loss", yscale="log")
    below.plot(*_series(rows, "psnr"), marker="o", markersize=3, color="tab:green", label="ESRT (averaged weights)")
    below.axhline(start_psnr, color="tab:gray", linestyle="--", label=f"start, {start_psnr:.2f} dB")
    if start_psnr - bicubic_psnr < 10:
        below.axhline(bicubic_psnr, color="tab:red", linestyle=":", label=f"bicubic, {bicubic_psnr:.2f} dB")
    below.set(xlabel="step", ylabel="PSNR on Y, held-out pictures (dB)")
    below.legend(loc="best", fontsize="small")
    with atomic_write(target, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _series(rows: Rows, column: str) -> tuple[list[int], list[float]]:
    filled = [row for row in rows if row.get(column)]
    return [int(row["step"]) for row in filled], [float(row[column]) for row in filled]
