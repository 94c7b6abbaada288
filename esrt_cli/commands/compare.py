"""`esrt compare`: compare bicubic and models on one picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esrt_cli import params
from esrt_cli.console import Console
from esrt_cli.figures import counted

if TYPE_CHECKING:
    from esrt_core.compare.run import Comparison, ModelRun

PictureArg = Annotated[Path, typer.Argument(metavar="IN", help="A picture.")]
ModelsOpt = Annotated[
    str,
    typer.Option(
        "--model",
        "--models",
        envvar="ESRT_MODEL",
        metavar="NAME|FILE|URL",
        help="Models to compare, separated by commas.",
    ),
]
ScaleOpt = Annotated[
    int | None, typer.Option("-s", "--scale", metavar="2|3|4", help="Factor. Default 4, or that of a model's file.")
]
OutputOpt = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="A .png (sheet) or .html (page with a slider). Default: a sheet."
    ),
]


def compare(
    picture: PictureArg,
    models: ModelsOpt = "auto",
    scale: ScaleOpt = None,
    output: OutputOpt = None,
    device: params.DeviceOpt = "auto",
    threads: params.ThreadsOpt = None,
    tile: params.TileOpt = None,
    precision: params.PrecisionOpt = "auto",
    tta: params.TtaOpt = False,
    max_pixels: params.MaxPixelsOpt = None,
    overwrite: params.OverwriteOpt = False,
    json: params.JsonOpt = False,
    progress: params.ProgressOpt = "bar",
    quiet: params.QuietOpt = False,
    verbose: params.VerboseOpt = False,
) -> None:
    """Show where bicubic and models differ most on a picture.

    The sheet shows crops of the upscaled picture side by side; the page, a single self-contained file, has a slider
    over them. Also printed is the PSNR of this picture, reduced by the factor, damaged alike if it looks damaged, and
    upscaled again.

    \b
    Examples:
      esrt compare photo.jpg
      esrt compare photo.jpg -s 2 -o photo.html
      esrt compare photo.jpg --model clean,mine.safetensors -o sheet.png
    """
    console = Console(quiet, verbose, events=progress == "json")
    console.start(f"comparing on {picture} ...")
    from json import dumps as as_json

    from esrt_cli.progress import progress_bar
    from esrt_core.compare.options import ComparisonOptions
    from esrt_core.engine.options import EngineOptions
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, ReadLimits

    options = ComparisonOptions(
        picture,
        tuple(name.strip() for name in models.split(",")),
        scale,
        output,
        EngineOptions(device, threads, precision, tile, tta),
        ReadLimits(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels),
        overwrite,
    )
    from esrt_core.compare.run import compare_models  # torch, after the checks that do not need it

    with progress_bar(console, str(picture)) as show:
        comparison = compare_models(options, show)
    console.event("result", **dataclasses.asdict(comparison))
    for note in comparison.notes:
        console.note(f"note: {note}")
    for run in comparison.runs:
        console.detail(run_line(run))
    if json:
        console.record(as_json({"ok": True, **dataclasses.asdict(comparison)}))
        return
    for line in comparison_lines(comparison):
        console.result(line)


def run_line(run: ModelRun) -> str:
    """Return which weights made a candidate, and how."""
    return (
        f"{run.label}: {run.weights}, sha256 {run.sha256}, on {run.device} in {run.precision}, tile {run.tile}, "
        f"{counted(run.computed, 'tiles')} computed, {run.reused:,} reused"
    )


def comparison_lines(comparison: Comparison) -> list[str]:
    """Return the figures of every candidate and the path of the comparison, as lines."""
    width = max(len(score.label) for score in comparison.scores)
    figures = [
        f"{score.label:<{width}}  {score.psnr:6.2f} dB" + ("" if score.gain is None else f"  {score.gain:+.2f}")
        for score in comparison.scores
        if score.psnr is not None
    ]
    reduced = f"reduced by {comparison.scale}{', damaged alike' if comparison.damage else ''} and upscaled again"
    gain = "expected gain" if comparison.damage else "gain"
    head = [f"{comparison.source}, {reduced} (PSNR on Y, {gain} over bicubic):"]
    return [*(head if figures else []), *figures, f"{comparison.target}: crops where they differ most"]
