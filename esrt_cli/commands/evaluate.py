"""`esrt eval`: measure PSNR and SSIM by the field's protocol, as a table or JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esrt_cli import params
from esrt_cli.console import Console

if TYPE_CHECKING:
    from esrt_core.engine.upscaler import Upscaler
    from esrt_core.evaluation.evaluate import Evaluation
    from esrt_core.evaluation.protocol import Score
    from esrt_core.weights.store import WeightsFile

TABLE_COLUMNS = 64  # of a terminal; with fewer, a table would cut its figures

PicturesArg = Annotated[Path, typer.Argument(metavar="IN", help="A folder of HR pictures, or one picture.")]
EvalScaleOpt = Annotated[
    int | None, typer.Option("-s", "--scale", metavar="2|3|4", help="Factor. Default: that of a --model FILE.")
]
LrDirOpt = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="LR pictures of the same names, or with x2, x3 or x4 added. Default: made by bicubic."
    ),
]
OutputOpt = Annotated[
    Path | None,
    typer.Option("-o", "--output", "--save-images", metavar="DIR", help="Save every result as PNG in this folder."),
]
EvalTileOpt = Annotated[
    int | None,
    typer.Option(metavar="PX", help="Side of a tile, as in upscale; 0 is the whole picture, as in published figures."),
]


def evaluate(
    pictures: PicturesArg,
    scale: EvalScaleOpt = None,
    model: params.ModelOpt = "auto",
    lr_dir: LrDirOpt = None,
    output: OutputOpt = None,
    tile: EvalTileOpt = None,
    tta: params.TtaOpt = False,
    device: params.DeviceOpt = "auto",
    threads: params.ThreadsOpt = None,
    precision: params.PrecisionOpt = "auto",
    max_pixels: params.MaxPixelsOpt = None,
    overwrite: params.OverwriteOpt = False,
    json: params.JsonOpt = False,
    progress: params.ProgressOpt = "bar",
    quiet: params.QuietOpt = False,
    verbose: params.VerboseOpt = False,
) -> int:
    """Measure PSNR and SSIM of ESRT and bicubic on a folder of pictures.

    Every picture is reduced by MATLAB's bicubic and upscaled again; Y of BT.601 is compared, without a border of as
    many pixels as the factor.

    \b
    Examples:
      esrt eval Set5/HR -s 2 --tile 0
      esrt eval my-photos -s 4 --model mine --json
    """
    console = Console(quiet, verbose, events=progress == "json")
    console.start(f"reading {pictures} ...")
    from esrt_cli.progress import progress_bar
    from esrt_core.engine.options import EngineOptions
    from esrt_core.errors import OptionError
    from esrt_core.evaluation.damage import damage_warning
    from esrt_core.evaluation.evaluate import EvaluationOptions, evaluate_folder
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, ReadLimits
    from esrt_core.selection import UpscalerPool

    pool = UpscalerPool(model, EngineOptions(device, threads, precision, tile, tta))
    if scale is None and len(pool.scales) > 1:
        raise OptionError(f"'{model}' has the scales {', '.join(map(str, pool.scales))}; choose one with -s")
    limits = ReadLimits(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels)
    options = EvaluationOptions(pictures, scale or pool.scales[0], lr_dir, output, overwrite, limits)
    upscaler = pool.upscaler(options.scale)
    for note in pool.notes:
        console.note(f"note: {note}")
    weights = pool.weights(options.scale)
    console.note(setting_line(weights, upscaler))
    console.detail(f"weights: {weights.path}, sha256 {weights.sha256}")
    with progress_bar(console) as show:
        evaluation = evaluate_folder(options, lambda frame: upscaler.upscale(frame).frame, show)
    console.event("result", **evaluation_values(evaluation))
    for failure in evaluation.failures:
        reason = failure.reason if failure.name in failure.reason else f"{failure.name}: {failure.reason}"
        console.error(reason, failure.name)
    if evaluation.damaged:
        known = "the figures say how well the damage is reproduced"
        console.note(f"note: {damage_warning(evaluation.damaged, len(evaluation.pictures), known)}")
    if json:
        console.record(evaluation_json(evaluation))
    elif evaluation.pictures and not quiet:
        print_table(evaluation, console)
    return 1 if evaluation.failures else 0


def setting_line(weights: WeightsFile, upscaler: Upscaler) -> str:
    """Return the settings of the evaluation in one line."""
    tile = upscaler.plan(64, 64).tile
    form = "whole pictures, the paper's form" if tile == 0 else f"tiles of {tile} px (--tile 0: whole pictures)"
    return f"{weights.name} x{weights.scale} on {upscaler.device_name} in {upscaler.precision}, {form}"


def evaluation_json(evaluation: Evaluation) -> str:
    """Return an evaluation as one JSON object on one line."""
    return json.dumps(evaluation_values(evaluation))


def evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON values.

    An infinite PSNR (two equal pictures) is null; `failures` exists only if a picture could not be measured, `damaged`
    only if an HR picture looks damaged.
    """
    pictures = [
        {"name": picture.name, "bicubic": _as_dict(picture.bicubic), "esrt": _as_dict(picture.esrt)}
        for picture in evaluation.pictures
    ]
    mean = None
    if evaluation.pictures:
        mean = {"bicubic": _as_dict(evaluation.mean_bicubic), "esrt": _as_dict(evaluation.mean_esrt)}
    record: dict[str, Any] = {"scale": evaluation.scale, "pictures": pictures, "mean": mean}
    if evaluation.damaged:
        record["damaged"] = dict(evaluation.damaged)
    if evaluation.failures:
        record["failures"] = [{"name": failure.name, "reason": failure.reason} for failure in evaluation.failures]
    return record


def print_table(evaluation: Evaluation, console: Console) -> None:
    """Print one row per picture and the mean to standard output, as lines on a terminal too narrow for a table."""
    if console.width() < TABLE_COLUMNS:
        for name, bicubic, esrt in _rows(evaluation):
            before, before_ssim, after, after_ssim, gain = _cells(bicubic, esrt)
            console.result(f"{name}: {gain or '+0.00'} dB, bicubic {before} {before_ssim}, ESRT {after} {after_ssim}")
        return
    from rich.table import Table
    from rich.text import Text

    from esrt_cli.console import printable

    table = Table(title=f"x{evaluation.scale}, PSNR (dB) and SSIM on Y")
    table.add_column("picture", overflow="fold")
    for heading in ("bicubic", "SSIM", "ESRT", "SSIM", "gain"):
        table.add_column(heading, justify="right", no_wrap=True)
    *pictures, mean = _rows(evaluation)
    for name, bicubic, esrt in pictures:
        table.add_row(Text(printable(name)), *_cells(bicubic, esrt))
    table.add_section()
    table.add_row(Text(mean[0]), *_cells(*mean[1:]))
    console.show(table)


def _rows(evaluation: Evaluation) -> list[tuple[str, Score, Score]]:
    """Return the name of every picture with both scores, and last the mean."""
    rows = [(picture.name, picture.bicubic, picture.esrt) for picture in evaluation.pictures]
    return [*rows, ("mean", evaluation.mean_bicubic, evaluation.mean_esrt)]


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
