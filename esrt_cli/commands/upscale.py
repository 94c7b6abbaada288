"""`esrt upscale`: pictures from file to file, all planned first, then upscaled one by one.

A picture that fails is reported and does not stop the others.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from esrt_cli import params
from esrt_cli.console import Console, leads_nowhere
from esrt_cli.figures import counted
from esrt_cli.progress import progress_bar
from esrt_cli.report import detail_line, error_json, plan_json, plan_line, plan_values, result_json, result_line
from esrt_cli.signals import Interrupted
from esrt_core.errors import EsrtError, OptionError, StopError
from esrt_core.progress import Progress, ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from esrt_core.pipeline.image.plan import UpscalePlan
    from esrt_core.pipeline.image.run import Estimate, Result

STANDARD_STREAM = "-"


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
    if goes_to_standard_output(inputs, output):
        if sys.stdout.isatty():
            raise OptionError("the picture would be printed to the terminal; redirect it (> file) or use -o")
        if leads_nowhere(sys.stdout):
            raise OptionError("the picture would go to standard output, which is closed; use -o")


class Reporter:
    """Print plans, results and failures, as lines or as JSON, and count the failures."""

    def __init__(self, console: Console, *, as_json: bool, dry_run: bool) -> None:
        self.console = console
        self.failures = self.finished = 0
        self._as_json = as_json
        self._dry_run = dry_run
        self._bar = ExitStack()
        self._progress: ProgressCallback = ignore_progress
        self.reached: Progress | None = None  # of the current picture

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def note(self, text: str) -> None:
        """Print a note about the weights."""
        self.console.note(f"note: {text}")

    def planned(self, plan: UpscalePlan, expected: Estimate) -> None:
        """Print a plan, and start the progress bar unless it is a dry run."""
        if not self._dry_run:
            self.console.plan(plan_line(plan, expected), **plan_values(plan, expected))
            self.reached = None
            self._progress = self._bar.enter_context(progress_bar(self.console, plan.source.name))
        elif self._as_json:
            self.console.record(plan_json(plan, expected))
        else:
            self.console.result(plan_line(plan, expected))

    def progress(self, report: Progress) -> None:
        """Show the progress of the current picture."""
        self.reached = report
        self._progress(report)

    def done(self, result: Result) -> None:
        """Print the result of a picture and its notes."""
        self._bar.close()
        self.finished += 1
        self.console.event("result", **dataclasses.asdict(result))
        for note in result.notes:
            self.console.note(f"note: {result.source}: {note}")
        self.console.detail(detail_line(result))
        if self._as_json:
            self.console.record(result_json(result))
        else:
            self.console.result(result_line(result))

    def failed(self, source: str, error: EsrtError) -> None:
        """Print why a picture failed."""
        self._bar.close()
        self.failures += 1
        self.console.error(str(error), source)
        if self._as_json:
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
    name: params.NameOpt = None,
    model: params.ModelOpt = "auto",
    device: params.DeviceOpt = "auto",
    threads: params.ThreadsOpt = None,
    tile: params.TileOpt = None,
    precision: params.PrecisionOpt = "auto",
    format_: params.FormatOpt = None,
    quality: params.QualityOpt = None,
    background: params.BackgroundOpt = "white",
    dpi: params.DpiOpt = None,
    strip_metadata: params.StripMetadataOpt = False,
    tta: params.TtaOpt = False,
    strength: params.StrengthOpt = None,
    compare: params.CompareOpt = False,
    max_pixels: params.MaxPixelsOpt = None,
    allow_truncated: params.AllowTruncatedOpt = False,
    overwrite: params.OverwriteOpt = False,
    json: params.JsonOpt = False,
    progress: params.ProgressOpt = "bar",
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
    console = Console(quiet, verbose, piped=goes_to_standard_output(inputs, output), events=progress == "json")
    console.start(f"reading {inputs[0] if len(inputs) == 1 else counted(len(inputs), 'pictures')} ...")
    from esrt_core.engine.options import EngineOptions
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, EncodeOptions, ReadLimits
    from esrt_core.pipeline.image.options import UpscaleOptions
    from esrt_core.pipeline.image.run import upscale_pictures

    options = UpscaleOptions(
        size=params.size_request(scale, width, height, longest, megapixels),
        output=output,
        name=name,
        format=format_,
        model=model,
        engine=EngineOptions(device, threads, precision, tile, tta),
        limits=ReadLimits(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels, allow_truncated),
        encode=EncodeOptions(quality, params.parse_color(background), strip_metadata, dpi=dpi),
        overwrite=overwrite,
        compare=compare,
        strength=strength,
    )
    check_arrangement(inputs, output)
    sources = [sys.stdin.buffer.read() if name == STANDARD_STREAM else name for name in inputs]
    with Reporter(console, as_json=json, dry_run=dry_run) as reporter:
        try:
            upscale_pictures(sources, options, reporter, sys.stdout.buffer, dry_run=dry_run)
        except Interrupted as stop:
            raise _stopped(stop, inputs, reporter) from stop
        return 1 if reporter.failures else 0


def _stopped(stop: Interrupted, inputs: Sequence[str], reporter: Reporter) -> StopError:
    """Say what was finished and how to go on: pictures are upscaled in the order in which they are named."""
    ended = reporter.finished + reporter.failures
    if not ended or ended >= len(inputs):
        at = reporter.reached
        after = f" after {at.done:,} of {counted(at.total, at.unit)}" if at else ""
        return StopError(f"{stop}{after}; no partial files were written; rerun to start again", stop.exit_code)
    done = f"{reporter.finished} of {counted(len(inputs), 'pictures')} done"
    return StopError(f"{stop}; {done}, no partial files were written; rerun with the others to resume", stop.exit_code)
