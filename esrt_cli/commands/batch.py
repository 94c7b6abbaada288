"""`esrt batch`: folders of any size, resumable.

It prints the plan first, every picture as it ends, and the failures together at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esrt_cli import params
from esrt_cli.commands.upscale import size_request
from esrt_cli.console import Console
from esrt_cli.report import detail_line, duration, error_json, result_json, result_line
from esrt_cli.signals import graceful_interrupt
from esrt_core.errors import StopError

if TYPE_CHECKING:
    from collections.abc import Callable

    from esrt_core.pipeline.batch.options import FolderOptions
    from esrt_core.pipeline.batch.plan import Failure, FolderPlan
    from esrt_core.pipeline.batch.run import Ended, FolderResult, StopRequest
    from esrt_core.pipeline.batch.throughput import Status
    from esrt_core.pipeline.cluster.plan import StorePlan
    from esrt_core.pipeline.cluster.run import ActorSpec
    from esrt_core.selection import UpscalerPool

_INTERRUPTED = 130


def upscale_folder(options: FolderOptions, console: Console, *, as_json: bool, dry_run: bool) -> int:
    """Plan and upscale the pictures of folders, report, and return the exit code: 1 if one failed."""
    from esrt_core.pipeline.batch.plan import plan_folder
    from esrt_core.pipeline.batch.workers import make_workers
    from esrt_core.selection import UpscalerPool

    pool = UpscalerPool(options.upscale.model, options.upscale.engine)
    plan = plan_folder(options, pool)
    workers = make_workers(plan) if plan.tasks else []
    reporter = FolderReporter(console, as_json)
    reporter.plan(plan, workers)
    if dry_run:
        reporter.listing(plan)
        return 1 if plan.refused or plan.failed_before else 0
    return run(plan, workers, reporter)


def upscale_on_ray(options: FolderOptions, address: str, console: Console, *, as_json: bool, dry_run: bool) -> int:
    """Plan pictures here, upscale them on a cluster, report, and return the exit code as upscale_folder() does."""
    from esrt_core.pipeline.batch.run import StopRequest
    from esrt_core.pipeline.cluster.plan import plan_store
    from esrt_core.pipeline.cluster.run import check_cluster_options, run_on_ray
    from esrt_core.selection import UpscalerPool

    check_cluster_options(address, options.devices)
    pool = UpscalerPool(options.upscale.model, options.upscale.engine)
    plan = plan_store(options, pool)
    reporter = FolderReporter(console, as_json)
    reporter.plan(plan, [])
    for note in pool.notes:
        console.note(f"note: {note}")
    if dry_run:
        reporter.listing(plan)
        return 1 if plan.refused or plan.failed_before else 0
    stop = StopRequest()
    graceful = _graceful(stop, console, "stopping after the next finished picture; press Ctrl-C again to stop now")
    with graceful, reporter.progress(len(plan.tasks)) as shown:
        result = run_on_ray(plan, address, reporter.workers, lambda ended: reporter.ended(ended, shown), stop)
    return end(plan, result, stop, reporter)


def run(plan: FolderPlan, workers: list[UpscalerPool], reporter: FolderReporter) -> int:
    """Run a plan; the first Ctrl-C finishes the pictures in progress."""
    from esrt_core.pipeline.batch.run import StopRequest, run_folder

    stop = StopRequest()
    graceful = _graceful(stop, reporter.console, "finishing pictures in progress; press Ctrl-C again to stop now")
    with graceful, reporter.progress(len(plan.tasks)) as shown:
        result = run_folder(plan, workers, lambda ended: reporter.ended(ended, shown), stop)
    return end(plan, result, stop, reporter)


def end(plan: FolderPlan | StorePlan, result: FolderResult, stop: StopRequest, reporter: FolderReporter) -> int:
    """Report the end and return the exit code.

    Raises: StopError if the run was stopped before its end.
    """
    reporter.summary(plan, result)
    if stop.requested and result.remaining:
        raise StopError(f"stopped: {result.done} done, {result.remaining} remaining; rerun to resume", _INTERRUPTED)
    return 1 if result.failures or result.stopped or plan.refused or plan.failed_before else 0


def _graceful(stop: StopRequest, console: Console, note: str) -> Any:
    def on_interrupt() -> None:
        stop.request()
        console.note(note)

    return graceful_interrupt(on_interrupt)


@dataclass
class FolderReporter:
    """Print the plan, every picture and the end, as lines or as JSON."""

    console: Console
    as_json: bool

    def plan(self, plan: FolderPlan | StorePlan, workers: list[UpscalerPool]) -> None:
        """Print the plan before the work."""
        for line in plan_lines(plan, workers):
            self.console.note(line)
        for note in dict.fromkeys(note for pool in workers for note in pool.notes):
            self.console.note(f"note: {note}")

    def workers(self, workers: ActorSpec) -> None:
        """Print the actors of the cluster."""
        noun = "actor" if workers.actors == 1 else "actors"
        each = "a GPU" if workers.gpus else f"{workers.cores} {'core' if workers.cores == 1 else 'cores'}"
        self.console.note(f"on {workers.actors} Ray {noun} with {each} each")

    def listing(self, plan: FolderPlan | StorePlan) -> None:
        """Print every source and target instead of the work."""
        for task in plan.tasks:
            self._list("to do", task.source, str(task.target))
        for state, sources in (("done", plan.done), ("already large enough", plan.large)):
            for source in sources:
                self._list(state, source)
        for failure in plan.failed_before:
            self._list("failed earlier", failure.source, reason=failure.reason)
        for failure in plan.refused:
            self._list("cannot be done", failure.source, reason=failure.reason)

    def ended(self, ended: Ended, shown: Callable[[Status], None]) -> None:
        """Print what came of a picture."""
        if ended.result is not None:
            for note in ended.result.notes:
                self.console.note(f"note: {ended.result.source}: {note}")
            self.console.detail(detail_line(ended.result))
            if self.as_json:
                self.console.record(result_json(ended.result))
            else:
                self.console.result(result_line(ended.result))
        elif ended.failure is not None and self.as_json:
            self._failure_record(ended.failure)
        shown(ended.status)

    def summary(self, plan: FolderPlan | StorePlan, result: FolderResult) -> None:
        """Print the failures, old and new, and what was done."""
        for failure in (*plan.refused, *result.failures):
            self.console.error(failure.reason)
        for failure in plan.failed_before:
            self.console.error(f"{failure.reason} (in an earlier run; use --retry-failed to retry)")
        if self.as_json:
            for failure in (*plan.refused, *plan.failed_before):
                self._failure_record(failure)
            self.console.record(json.dumps({"summary": summary_values(plan, result)}))
        self.console.note(summary_line(plan, result))
        if result.stopped is not None:
            self.console.error(f"{result.stopped}; {result.remaining} pictures remain: rerun to resume")

    @contextmanager
    def progress(self, pictures: int) -> Iterator[Callable[[Status], None]]:
        """Show a bar with throughput, failures and the remaining time during the block, on a terminal."""
        if not self.console.shows_progress():
            yield lambda status: None
            return
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        with Bar(BarColumn(), TextColumn("{task.description}"), console=Terminal(stderr=True), transient=True) as bar:
            task = bar.add_task(f"{pictures} pictures", total=1.0)

            def show(status: Status) -> None:
                bar.update(task, completed=status.share, description=status_line(status))

            yield show

    def _list(self, state: str, source: Path | str, target: str | None = None, reason: str | None = None) -> None:
        if self.as_json:
            record = {"ok": reason is None, "state": state, "source": str(source), "target": target, "error": reason}
            self.console.record(json.dumps({name: value for name, value in record.items() if value is not None}))
        else:
            self.console.result(f"{source} -> {target}" if target else f"{source}: {reason or state}")

    def _failure_record(self, failure: Failure) -> None:
        from esrt_core.errors import EsrtError

        self.console.record(error_json(str(failure.source), EsrtError(failure.reason)))


def plan_lines(plan: FolderPlan | StorePlan, workers: list[UpscalerPool]) -> Iterator[str]:
    """Yield the plan as lines: counts, what is skipped, disk space, device and expected time."""
    roots = ", ".join(plan.roots[:3]) + (" ..." if len(plan.roots) > 3 else "")
    noun = "picture" if plan.found == 1 else "pictures"
    yield f"{plan.found} {noun} -> {roots}: {len(plan.tasks)} to do, {len(plan.done)} done already"
    counts = {
        "already large enough": len(plan.large),
        "failed earlier": len(plan.failed_before),
        "cannot be upscaled (listed at the end)": len(plan.refused),
    }
    others = [f"{count} {what}" for what, count in counts.items() if count]
    others += [f"{count} {reason}" for reason, count in sorted(plan.skipped.items())]
    if others:
        yield f"skipped: {', '.join(others)}"
    for disk in plan.disks():
        warning = ", which may not be enough" if disk.expected > disk.free else ""
        yield f"about {size_text(disk.expected)} of results, {size_text(disk.free)} free{warning}"
    if workers:
        yield _work_line(plan, workers)


def _work_line(plan: FolderPlan | StorePlan, workers: list[UpscalerPool]) -> str:
    from esrt_core.pipeline.batch.throughput import expected_seconds, is_long

    uppers = [pool.for_chain(plan.tasks[0].plan.chain).upscaler(plan.tasks[0].plan.size.passes[0]) for pool in workers]
    where = f"on {', '.join(dict.fromkeys(upper.device_name for upper in uppers))} in {uppers[0].precision}"
    if not is_long(plan.tasks):
        return where
    return f"{where}, about {duration(expected_seconds(plan.tasks, workers))}"


def status_line(status: Status) -> str:
    """Return the progress as a line."""
    left = "" if status.seconds_left is None else f", {duration(status.seconds_left)} left"
    failed = f", {status.failed} failed" if status.failed else ""
    return (
        f"{status.ended} of {status.pictures} pictures, {status.pictures_per_second:.2g} per second, "
        f"{status.megapixels_per_second:.2g} megapixels per second{left}{failed}"
    )


def summary_values(plan: FolderPlan | StorePlan, result: FolderResult) -> dict[str, Any]:
    """Return the counts of a run for JSON."""
    return {
        "done": result.done,
        "done_before": len(plan.done),
        "elsewhere": result.done_elsewhere,
        "large": len(plan.large),
        "failed": len(result.failures) + len(plan.refused),
        "failed_before": len(plan.failed_before),
        "left": result.remaining,
        "skipped": dict(sorted(plan.skipped.items())),
        "leftovers_removed": result.leftovers,
        "seconds": round(result.status.seconds, 3) if result.status else 0.0,
        "megapixels": round(result.status.megapixels, 3) if result.status else 0.0,
        "stopped": None if result.stopped is None else str(result.stopped),
    }


def summary_line(plan: FolderPlan | StorePlan, result: FolderResult) -> str:
    """Return the summary of a run as a line."""
    values = summary_values(plan, result)
    words = {
        "done_before": "done before",
        "elsewhere": "done by another run",
        "large": "already large enough",
        "failed": "failed",
        "failed_before": "failed earlier",
        "left": "remaining",
        "leftovers_removed": "unfinished files of an earlier run removed",
    }
    counts = [f"{result.done} done", *(f"{values[name]} {text}" for name, text in words.items() if values[name])]
    status = result.status
    pace = ""
    if status is not None:
        pace = (
            f"; {duration(status.seconds)}, {status.pictures_per_second:.2g} pictures and "
            f"{status.megapixels_per_second:.2g} megapixels per second"
        )
    return ", ".join(counts) + pace


def size_text(count: int) -> str:
    """Return a number of bytes as text: 512 bytes, 1.5 MB."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


InputsArg = Annotated[list[str], typer.Argument(metavar="DIR|FILE|GLOB", help="Folders, pictures and globs.")]
OutputOpt = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="DIR", help="Folder of the results. Default: DIR_x4 beside DIR."),
]
IncludeOpt = Annotated[
    list[str] | None, typer.Option(metavar="GLOB", help="Only matching pictures, such as '*.jpg' or 'raw/*'.")
]
ExcludeOpt = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Skip matching pictures and folders.")]
NameOpt = Annotated[
    str | None,
    typer.Option(metavar="TEMPLATE", help="Names of results, such as '{stem}_{model}_x{scale}.{ext}'; also {size}."),
]
RayOpt = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Use a Ray cluster: auto, host:port, or local to start one here."),
]
RetryOpt = Annotated[bool, typer.Option("--retry-failed", help="Retry pictures that failed in an earlier run.")]
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
    """Upscale folders of pictures; rerun the same command to resume.

    photos/ becomes photos_x4/ with the same tree and names. Finished pictures are recorded in .esrt-manifest.jsonl
    there: the next run skips them, and redoes those that have changed. With --ray, inputs and -o may also be s3://,
    gs:// and file:// addresses, and finished pictures are recorded in .esrt-records/.

    \b
    Examples:
      esrt batch photos
      esrt batch photos -o large -s 2 --exclude 'drafts/*'
      esrt batch *.jpg --longest 4000 --name '{stem}_{size}.{ext}'
      esrt batch photos --dry-run
      esrt batch s3://bucket/photos -o s3://bucket/large --ray auto
    """
    from esrt_cli.params import parse_color
    from esrt_core.engine.options import EngineOptions
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, EncodeOptions, ReadLimits
    from esrt_core.pipeline.batch.options import FolderOptions
    from esrt_core.pipeline.image.options import UpscaleOptions

    devices = tuple(device.split(","))
    options = UpscaleOptions(
        size=size_request(scale, width, height, longest, megapixels),
        format=format_,
        model=model,
        engine=EngineOptions("auto" if device == "all" else devices[0], threads, precision, tile, tta),
        limits=ReadLimits(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels, allow_truncated),
        encode=EncodeOptions(quality, parse_color(background), strip_metadata),
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
