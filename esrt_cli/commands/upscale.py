"""`esrt upscale`: pictures from file to file, all planned first, then upscaled one by one.

A picture that fails is reported and does not stop the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esrt_cli import params
from esrt_cli.console import Console
from esrt_cli.report import detail_line, error_json, plan_json, plan_line, progress_bar, result_json, result_line
from esrt_core.errors import EsrtError, OptionError, StopError

if TYPE_CHECKING:
    from esrt_core.pipeline.image.options import UpscaleOptions
    from esrt_core.pipeline.image.plan import Input, UpscalePlan
    from esrt_core.pipeline.image.run import Estimate, Result
    from esrt_core.pipeline.sizes import SizeRequest
    from esrt_core.selection import UpscalerPool

STANDARD_STREAM = "-"


def size_request(
    scale: Decimal | None, width: int | None, height: int | None, longest: int | None, megapixels: Decimal | None
) -> SizeRequest:
    """Build a SizeRequest from the size options."""
    from esrt_core.pipeline.sizes import SizeRequest, exact

    factor = None if scale is None else exact(scale, "--scale")
    area = None if megapixels is None else exact(megapixels, "--megapixels")
    return SizeRequest(factor, width, height, longest, area)


def goes_to_standard_output(inputs: Sequence[str], output: str | None) -> bool:
    """Return whether the result goes to standard output: with -o -, or from standard input without -o."""
    return output == STANDARD_STREAM or (output is None and STANDARD_STREAM in inputs)


def check_arrangement(inputs: Sequence[str], output: str | None) -> None:
    """Raise OptionError if inputs and output cannot be combined."""
    from esrt_core.pipeline.image.plan import names_folder

    if len(inputs) > 1 and output is not None and not names_folder(output):
        raise OptionError(f"-o {output} names one file but there are {len(inputs)} inputs; end it with / for a folder")
    if list(inputs).count(STANDARD_STREAM) > 1:
        raise OptionError("standard input (-) was given more than once; it can be read only once")
    if goes_to_standard_output(inputs, output) and sys.stdout.isatty():
        raise OptionError("the picture would be printed to the terminal; redirect it (> file) or use -o")


def upscale_all(
    inputs: Sequence[str], options: UpscaleOptions, console: Console, *, as_json: bool, dry_run: bool
) -> int:
    """Plan and upscale pictures, report each one, and return the exit code: 1 if one failed."""
    from esrt_core.pipeline.image.plan import check_distinct
    from esrt_core.selection import UpscalerPool

    pool = UpscalerPool(options.model, options.engine)
    reporter = Reporter(console, as_json)
    plans = plan_all(inputs, options, pool, reporter)
    check_distinct(plans)
    for plan in plans:  # an unusable device or weights would fail every picture, so they stop the command
        pool.for_chain(plan.chain).load(plan.size.passes)
    for note in pool.notes:
        console.note(f"note: {note}")
    for plan in plans:
        try:
            upscale_one(plan, pool, reporter, dry_run)
        except StopError:
            raise
        except EsrtError as error:
            reporter.failure(plan.source.name, error)
    return 1 if reporter.failed else 0


def plan_all(
    inputs: Sequence[str], options: UpscaleOptions, pool: UpscalerPool, reporter: Reporter
) -> list[UpscalePlan]:
    """Plan every input; report and skip those that cannot be upscaled."""
    from esrt_core.pipeline.image.plan import plan_upscale

    plans = []
    for name in inputs:
        try:
            plans.append(plan_upscale(read_input(name), options, pool.selector))
        except EsrtError as error:
            reporter.failure(name, error)
    return plans


def read_input(name: str) -> Input:
    """Return the picture that an argument names.

    Raises: OptionError if it is empty or a remote address.
    """
    from esrt_core.pipeline.image.plan import Input

    if not name:
        raise OptionError("an input is empty; name a file, or - for standard input")
    if "://" in name and not os.path.lexists(name):
        raise OptionError(f"{name} is a remote address; download the picture first, or pipe it to: esrt upscale -")
    return Input(sys.stdin.buffer.read() if name == STANDARD_STREAM else Path(name))


def upscale_one(plan: UpscalePlan, pool: UpscalerPool, reporter: Reporter, dry_run: bool) -> None:
    """Report the plan, upscale (unless `dry_run`) and report the result."""
    from esrt_core.pipeline.image.run import estimate, upscale_picture

    expected = estimate(plan, pool)
    if dry_run:
        reporter.dry_run(plan, expected)
        return
    reporter.plan(plan, expected)
    with progress_bar(reporter.console) as progress:
        result = upscale_picture(plan, pool, progress, sys.stdout.buffer if plan.target.path is None else None)
    reporter.result(result)


@dataclass
class Reporter:
    """Print plans, results and failures, as lines or as JSON, and count the failures."""

    console: Console
    as_json: bool
    failed: int = 0

    def plan(self, plan: UpscalePlan, expected: Estimate) -> None:
        """Print the plan before the work."""
        self.console.note(plan_line(plan, expected))

    def dry_run(self, plan: UpscalePlan, expected: Estimate) -> None:
        """Print the plan instead of the work."""
        if self.as_json:
            self.console.record(plan_json(plan, expected))
        else:
            self.console.result(plan_line(plan, expected))

    def result(self, result: Result) -> None:
        """Print the result of a picture and its notes."""
        for note in result.notes:
            self.console.note(f"note: {result.source}: {note}")
        self.console.detail(detail_line(result))
        if self.as_json:
            self.console.record(result_json(result))
        else:
            self.console.result(result_line(result))

    def failure(self, source: str, error: EsrtError) -> None:
        """Print why a picture failed."""
        self.failed += 1
        self.console.error(str(error))
        if self.as_json:
            self.console.record(error_json(source, error))


InputsArg = Annotated[list[str], typer.Argument(metavar="IN", help="Pictures; - is standard input.")]
OutputOpt = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE|DIR/|-", help="A file, a folder (ending in /), or standard output."),
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
    from esrt_cli.params import parse_color
    from esrt_core.engine.options import EngineOptions
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, EncodeOptions, ReadLimits
    from esrt_core.pipeline.image.options import UpscaleOptions

    options = UpscaleOptions(
        size=size_request(scale, width, height, longest, megapixels),
        output=output,
        format=format_,
        model=model,
        engine=EngineOptions(device, threads, precision, tile, tta),
        limits=ReadLimits(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels, allow_truncated),
        encode=EncodeOptions(quality, parse_color(background), strip_metadata),
        overwrite=overwrite,
        compare=compare,
    )
    check_arrangement(inputs, output)
    console = Console(quiet, verbose, piped=goes_to_standard_output(inputs, output))
    return upscale_all(inputs, options, console, as_json=json, dry_run=dry_run)
