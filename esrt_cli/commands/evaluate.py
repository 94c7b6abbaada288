"""`esrt eval`: how good the results are, measured as the field does."""

from pathlib import Path
from typing import Annotated

import typer

from esrt_cli import params
from esrt_cli.console import Console

PicturesArg = Annotated[Path, typer.Argument(metavar="HR_DIR", help="Pictures in full resolution, or one of them.")]
EvalScaleOpt = Annotated[
    int | None, typer.Option("-s", "--scale", metavar="2|3|4", help="Factor; default: that of a --model FILE.")
]
LrDirOpt = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="LR pictures, named alike or with x2, x3, x4; else they are made by bicubic."),
]
SaveImagesOpt = Annotated[Path | None, typer.Option(metavar="DIR", help="Save every result as PNG in this folder.")]
EvalTileOpt = Annotated[
    int | None,
    typer.Option(metavar="PX", help="Side of a tile, as in upscale; 0 is the whole picture, as in published figures."),
]
EvalJsonOpt = Annotated[bool, typer.Option("--json", help="Print one JSON object in place of the table.")]


def evaluate(
    pictures: PicturesArg,
    scale: EvalScaleOpt = None,
    model: params.ModelOpt = "auto",
    lr_dir: LrDirOpt = None,
    save_images: SaveImagesOpt = None,
    tile: EvalTileOpt = None,
    tta: params.TtaOpt = False,
    device: params.DeviceOpt = "auto",
    threads: params.ThreadsOpt = None,
    precision: params.PrecisionOpt = "auto",
    overwrite: params.OverwriteOpt = False,
    json: EvalJsonOpt = False,
    quiet: params.QuietOpt = False,
) -> int:
    """Measure PSNR and SSIM on a folder of pictures, ESRT beside bicubic.

    Every picture is shrunk as MATLAB's bicubic does and enlarged again; Y of BT.601 is compared, without a border of
    as many pixels as the factor.

    \b
    Examples:
      esrt eval Set5/HR -s 2 --tile 0
      esrt eval my-photos -s 4 --model mine --json
    """
    from esrt_cli.report import progress_bar
    from esrt_cli.scores import evaluation_json, print_table, setting_line
    from esrt_core.engine.options import EngineOptions
    from esrt_core.errors import OptionError
    from esrt_core.evaluation.evaluate import EvaluationOptions, evaluate_folder
    from esrt_core.pipeline.engines import Engines

    console = Console(quiet)
    engines = Engines(model, EngineOptions(device, threads, precision, tile, tta))
    if scale is None and len(engines.scales) > 1:
        raise OptionError(f"'{model}' enlarges by {', '.join(map(str, engines.scales))}; choose one with -s")
    options = EvaluationOptions(pictures, scale or engines.scales[0], lr_dir, save_images, overwrite)
    upscaler = engines.upscaler(options.scale)
    for note in engines.notes:
        console.note(f"note: {note}")
    console.note(setting_line(engines.weights(options.scale), upscaler))
    with progress_bar(console) as progress:
        evaluation = evaluate_folder(options, lambda frame: upscaler.upscale(frame).frame, progress)
    for failure in evaluation.failures:
        console.error(failure.reason if failure.name in failure.reason else f"{failure.name}: {failure.reason}")
    if json:
        console.record(evaluation_json(evaluation))
    elif evaluation.pictures and not quiet:
        print_table(evaluation)
    return 1 if evaluation.failures else 0
