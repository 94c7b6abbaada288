"""`esrt upscale`: pictures from file to file."""

from typing import Annotated

import typer

from esrt_cli import params
from esrt_cli.console import Console
from esrt_cli.upscaling import check_arrangement, goes_to_standard_output, size_request, upscale_all

InputsArg = Annotated[list[str], typer.Argument(metavar="IN", help="Pictures; - is standard input.")]
OutputOpt = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE|DIR/|-", help="A file, a folder (with a slash), or standard output."),
]


def upscale(
    inputs: InputsArg,
    scale: params.ScaleOpt = None,
    width: params.WidthOpt = None,
    height: params.HeightOpt = None,
    longest: params.LongestOpt = None,
    megapixels: params.MegapixelsOpt = None,
    output: OutputOpt = None,
    model: params.ModelOpt = "auto",
    device: params.DeviceOpt = "auto",
    threads: params.ThreadsOpt = None,
    tile: params.TileOpt = None,
    precision: params.PrecisionOpt = "auto",
    format_: params.FormatOpt = None,
    quality: params.QualityOpt = None,
    background: params.BackgroundOpt = "white",
    strip_metadata: params.StripMetadataOpt = False,
    tta: params.TtaOpt = False,
    compare: params.CompareOpt = False,
    max_pixels: params.MaxPixelsOpt = None,
    allow_truncated: params.AllowTruncatedOpt = False,
    overwrite: params.OverwriteOpt = False,
    json: params.JsonOpt = False,
    quiet: params.QuietOpt = False,
    verbose: params.VerboseOpt = False,
    dry_run: params.DryRunOpt = False,
) -> int:
    """Upscale pictures: PNG, JPEG, WebP, TIFF, AVIF, GIF and more.

    Without -o the result goes beside the picture: photo.jpg becomes photo_x4.jpg.

    \b
    Examples:
      esrt upscale photo.jpg
      esrt upscale photo.jpg -s 2 -o large.png
      esrt upscale *.jpg --longest 4000 -o large/
      esrt upscale scan.tif --width 6000 --height 8000 --compare
      cat photo.png | esrt upscale - -s 2 > large.png
    """
    from esrt_core.engine.options import EngineOptions
    from esrt_core.media.options import EncodeOptions
    from esrt_core.media.picture import DEFAULT_MAX_PIXELS, ReadLimits
    from esrt_core.pipeline.colour import parse_colour
    from esrt_core.pipeline.options import UpscaleOptions

    options = UpscaleOptions(
        size=size_request(scale, width, height, longest, megapixels),
        output=output,
        format=format_,
        model=model,
        engine=EngineOptions(device, threads, precision, tile, tta),
        limits=ReadLimits(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels, allow_truncated),
        encode=EncodeOptions(quality, parse_colour(background), strip_metadata),
        overwrite=overwrite,
        compare=compare,
    )
    check_arrangement(inputs, output)
    console = Console(quiet, verbose, piped=goes_to_standard_output(inputs, output))
    return upscale_all(inputs, options, console, as_json=json, dry_run=dry_run)
