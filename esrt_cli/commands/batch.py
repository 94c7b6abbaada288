"""`esrt batch`: folders of any size, resumable."""

from typing import Annotated

import typer

from esrt_cli import params
from esrt_cli.batches import upscale_folder, upscale_on_ray
from esrt_cli.console import Console
from esrt_cli.upscaling import size_request

InputsArg = Annotated[list[str], typer.Argument(metavar="DIR|FILE|GLOB", help="Folders, pictures and globs.")]
OutputOpt = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="DIR", help="Folder of the results. Default: DIR_x4 beside DIR."),
]
IncludeOpt = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only these, such as '*.jpg' or 'raw/*'.")]
ExcludeOpt = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="None of these.")]
NameOpt = Annotated[
    str | None,
    typer.Option(metavar="TEMPLATE", help="Names of results, such as '{stem}_{model}_x{scale}.{ext}'; also {size}."),
]
RayOpt = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="Work on a Ray cluster: auto, host:port, or local to start one here."
    ),
]
RetryOpt = Annotated[bool, typer.Option("--retry-failed", help="Try again what failed in an earlier run.")]
DevicesOpt = Annotated[
    str,
    typer.Option("--device", envvar="ESRT_DEVICE", metavar="DEVICE", help="As for upscale; also cuda:0,cuda:1 or all."),
]


def batch(
    inputs: InputsArg,
    output: OutputOpt = None,
    include: IncludeOpt = None,
    exclude: ExcludeOpt = None,
    name: NameOpt = None,
    retry_failed: RetryOpt = False,
    ray: RayOpt = None,
    scale: params.ScaleOpt = None,
    width: params.WidthOpt = None,
    height: params.HeightOpt = None,
    longest: params.LongestOpt = None,
    megapixels: params.MegapixelsOpt = None,
    model: params.ModelOpt = "auto",
    device: DevicesOpt = "auto",
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
    """Upscale folders of pictures; the same command goes on after anything.

    photos/ becomes photos_x4/, its tree and names are kept. What is done is noted in .esrt-manifest.jsonl there: the
    next run skips it, and does again what has changed. With --ray, inputs and -o may also be s3://, gs:// and file://
    addresses, and what is done is noted in .esrt-records/.

    \b
    Examples:
      esrt batch photos
      esrt batch photos -o large -s 2 --exclude 'drafts/*'
      esrt batch *.jpg --longest 4000 --name '{stem}_{size}.{ext}'
      esrt batch photos --dry-run
      esrt batch s3://bucket/photos -o s3://bucket/large --ray auto
    """
    from esrt_core.engine.options import EngineOptions
    from esrt_core.media.options import EncodeOptions
    from esrt_core.media.picture import DEFAULT_MAX_PIXELS, ReadLimits
    from esrt_core.pipeline.colour import parse_colour
    from esrt_core.pipeline.folder_options import FolderOptions
    from esrt_core.pipeline.options import UpscaleOptions

    devices = tuple(device.split(","))
    options = UpscaleOptions(
        size=size_request(scale, width, height, longest, megapixels),
        format=format_,
        model=model,
        engine=EngineOptions("auto" if device == "all" else devices[0], threads, precision, tile, tta),
        limits=ReadLimits(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels, allow_truncated),
        encode=EncodeOptions(quality, parse_colour(background), strip_metadata),
        overwrite=overwrite,
        compare=compare,
    )
    folder = FolderOptions(
        tuple(inputs), output, options, tuple(include or ()), tuple(exclude or ()), name, devices, retry_failed
    )
    console = Console(quiet, verbose)
    if ray is not None:
        return upscale_on_ray(folder, ray, console, as_json=json, dry_run=dry_run)
    return upscale_folder(folder, console, as_json=json, dry_run=dry_run)
