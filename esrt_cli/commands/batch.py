"""`esrt batch`: folders of any size, resumable.

It prints the plan first, every picture as it ends, and the failures together at the end.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esrt_cli import params
from esrt_cli.console import Console
from esrt_cli.figures import counted, duration, expected, rate, size
from esrt_cli.progress import Show, State, progress_line
from esrt_cli.report import detail_line, error_json, result_json, result_line
from esrt_cli.signals import Interrupted, graceful_interrupt
from esrt_core.errors import OptionError, StopError

if TYPE_CHECKING:
    from esrt_core.pipeline.batch.options import FolderOptions
    from esrt_core.pipeline.batch.plan import Failure, FolderPlan
    from esrt_core.pipeline.batch.run import Ended, FolderResult, Packed, StopRequest
    from esrt_core.pipeline.batch.throughput import Status
    from esrt_core.pipeline.cluster.plan import StorePlan
    from esrt_core.pipeline.cluster.run import ActorSpec
    from esrt_core.selection import UpscalerPool

_INTERRUPTED = 130


class FolderReporter:
    """Print the plan, every picture and the end, as lines or as JSON; the first Ctrl-C finishes what is in progress."""

    def __init__(self, console: Console, stop: StopRequest, *, as_json: bool, dry_run: bool, on_ray: bool) -> None:
        self.console = console
        self._stop = stop
        self._as_json = as_json
        self._dry_run = dry_run
        self._on_ray = on_ray
        self._running = ExitStack()
        self._show: Show = lambda state: None
        self._done = 0

    def __enter__(self) -> FolderReporter:
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()

    def planned(self, plan: FolderPlan | StorePlan, workers: Sequence[UpscalerPool]) -> None:
        """Print the plan; then list its pictures if it is a dry run, else start the progress bar."""
        self._plan = plan
        if self.console.events:
            self.console.event("plan", **plan_values(plan))
        else:
            for line in plan_lines(plan, workers):
                self.console.note(line)
        if self._dry_run:
            self._list_all(plan)
            return
        self._running.enter_context(graceful_interrupt(self._interrupted))
        self._show = self._running.enter_context(progress_line(self.console))

    def note(self, text: str) -> None:
        """Print a note about the weights."""
        self.console.note(f"note: {text}")

    def _interrupted(self) -> None:
        self._stop.request()
        now = "stopping after the next finished picture" if self._on_ray else "finishing pictures in progress"
        self.console.note(f"{now}; press Ctrl-C again to stop now")

    def workers(self, workers: ActorSpec) -> None:
        """Print the actors of the cluster."""
        each = "a GPU" if workers.gpus else counted(workers.cores, "cores")
        self.console.note(f"on {counted(workers.actors, 'Ray actors')} with {each} each")

    def _list_all(self, plan: FolderPlan | StorePlan) -> None:
        """Print every source and target."""
        for task in plan.tasks:
            self._list("to do", task.source, str(task.target))
        for state, sources in (("done", plan.done), ("already large enough", plan.large)):
            for source in sources:
                self._list(state, source)
        for failure in plan.failed_before:
            self._list("failed earlier", failure.source, reason=failure.reason)
        for failure in plan.refused:
            self._list("cannot be done", failure.source, reason=failure.reason)

    def ended(self, ended: Ended) -> None:
        """Print what came of a picture."""
        if ended.result is not None:
            self._done += 1
            self.console.event("result", **dataclasses.asdict(ended.result))
            for note in ended.result.notes:
                self.console.note(f"note: {ended.result.source}: {note}")
            self.console.detail(detail_line(ended.result))
            if self._as_json:
                self.console.record(result_json(ended.result))
            else:
                self.console.result(result_line(ended.result))
        elif ended.failure is not None:
            self.console.event("failure", source=str(ended.failure.source), error=ended.failure.reason)
            if self._as_json:
                self._failure_record(ended.failure)
        self._show(state_of(ended.status))

    def interrupted(self, stop: Interrupted) -> StopError:
        """Return the end of a run that was stopped at once."""
        self._running.close()
        done = f"{counted(self._done, 'pictures')} done"
        return StopError(f"{stop}; {done}, no partial files were written; rerun to resume", stop.exit_code)

    def packed(self, packed: Packed) -> None:
        """Print that an archive of results was written."""
        values = {"ok": True, "source": str(packed.source), "target": str(packed.target), "pages": packed.pages}
        self.console.event("result", **values)
        if self._as_json:
            self.console.record(json.dumps(values))
        else:
            self.console.result(f"{packed.source} -> {packed.target}: {counted(packed.pages, 'pages')}")

    def end(self, result: FolderResult) -> int:
        """Print the failures, old and new, and what was done; return the exit code.

        Raises: StopError if the run was stopped before its end.
        """
        plan = self._plan
        failed = bool(result.failures or result.stopped or plan.refused or plan.failed_before)
        if self._dry_run:
            return int(failed)
        self._running.close()
        self._summary(plan, result)
        if self._stop.requested and result.remaining:
            raise StopError(f"stopped: {result.done} done, {result.remaining} remaining; rerun to resume", _INTERRUPTED)
        return int(failed)

    def _summary(self, plan: FolderPlan | StorePlan, result: FolderResult) -> None:
        shown = plan.refused if self.console.events else (*plan.refused, *result.failures)  # the others were events
        for failure in shown:
            self.console.error(failure.reason, str(failure.source))
        for failure in plan.failed_before:
            reason = f"{failure.reason} (in an earlier run; use --retry-failed to retry)"
            self.console.error(reason, str(failure.source))
        if self._as_json:
            for failure in (*plan.refused, *plan.failed_before):
                self._failure_record(failure)
            self.console.record(json.dumps({"summary": summary_values(plan, result)}))
        for log in result.fault_logs:
            self.console.note(f"faults in esrt itself are in {log}; please report them")
        if self.console.events:
            self.console.event("summary", **summary_values(plan, result))
        else:
            self.console.note(summary_line(plan, result))
        if result.stopped is not None:
            remaining = f"{counted(result.remaining, 'pictures')} {'remains' if result.remaining == 1 else 'remain'}"
            self.console.error(f"{result.stopped}; {remaining}: rerun to resume")

    def _list(self, state: str, source: Path | str, target: str | None = None, reason: str | None = None) -> None:
        if self._as_json:
            record = {"ok": reason is None, "state": state, "source": str(source), "target": target, "error": reason}
            self.console.record(json.dumps({name: value for name, value in record.items() if value is not None}))
        else:
            self.console.result(f"{source} -> {target}" if target else f"{source}: {reason or state}")

    def _failure_record(self, failure: Failure) -> None:
        from esrt_core.errors import EsrtError

        self.console.record(error_json(str(failure.source), EsrtError(failure.reason)))


def plan_lines(plan: FolderPlan | StorePlan, workers: Sequence[UpscalerPool]) -> Iterator[str]:
    """Yield the plan as lines: counts, what is skipped, disk space, device and expected time."""
    roots = ", ".join(plan.roots[:3]) + (" ..." if len(plan.roots) > 3 else "")
    done = f", {len(plan.done):,} done already" if plan.done else ""
    yield f"{counted(plan.found, 'pictures')} -> {roots}: {len(plan.tasks):,} to do{done}"
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
        yield f"about {size(disk.expected)} of results, {size(disk.free)} free{warning}"
    if workers:
        yield _work_line(plan, workers)


def _work_line(plan: FolderPlan | StorePlan, workers: Sequence[UpscalerPool]) -> str:
    from esrt_core.pipeline.batch.throughput import expected_seconds, is_long

    uppers = [pool.for_chain(plan.tasks[0].plan.chain).upscaler(plan.tasks[0].plan.size.passes[0]) for pool in workers]
    where = f"on {', '.join(dict.fromkeys(upper.device_name for upper in uppers))} in {uppers[0].precision}"
    seconds = expected_seconds(plan.tasks, workers) if is_long(plan.tasks) else None
    return f"{where}, {expected(seconds)}"


def state_of(status: Status) -> State:
    """Return the progress of a run for its line; the share is that of the network's work, not of the pictures."""
    number, short = rate(status.megapixels_per_second, "megapixels")
    extras = [(f"{status.failed} failed", f"{status.failed} failed")] if status.failed else []
    if status.megapixels:
        extras.append((number, f"{short.partition('/')[0]} MP/{short.partition('/')[2]}"))
    return State(
        status.ended,
        status.pictures,
        "pictures",
        status.pictures_per_second or None,
        status.seconds_left if status.ended < status.pictures else None,
        status.share,
        tuple(extras),
    )


def plan_values(plan: FolderPlan | StorePlan) -> dict[str, Any]:
    """Return the plan of a folder as JSON values."""
    return {
        "pictures": plan.found,
        "targets": list(plan.roots),
        "to_do": len(plan.tasks),
        "done": len(plan.done),
        "large": len(plan.large),
        "refused": len(plan.refused),
        "failed_before": len(plan.failed_before),
        "skipped": dict(sorted(plan.skipped.items())),
        "result_bytes": sum(disk.expected for disk in plan.disks()),
    }


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
        "fault_logs": result.fault_logs,
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
    }
    counts = [f"{result.done:,} done", *(f"{values[name]:,} {text}" for name, text in words.items() if values[name])]
    if values["leftovers_removed"]:
        counts.append(f"{counted(values['leftovers_removed'], 'unfinished files')} of an earlier run removed")
    status = result.status
    pace = ""
    if status is not None:
        pace = f"; {duration(status.seconds)}"
        if status.megapixels:
            pictures, megapixels = status.pictures_per_second, status.megapixels_per_second
            pace += f", {rate(pictures, 'pictures')[0]}, {rate(megapixels, 'megapixels')[0]}"
    return ", ".join(counts) + pace


InputsArg = Annotated[
    list[str], typer.Argument(metavar="DIR|FILE|GLOB", help="Folders, pictures, comic archives (CBZ) and globs.")
]
OutputOpt = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="DIR", help="Folder of the results. Default: DIR_x4 beside DIR."),
]
IncludeOpt = Annotated[
    list[str] | None, typer.Option(metavar="GLOB", help="Only matching pictures, such as '*.jpg' or 'raw/*'.")
]
ExcludeOpt = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Skip matching pictures and folders.")]
RayOpt = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Use a Ray cluster: auto, host:port, or local to start one here."),
]
WatchOpt = Annotated[bool, typer.Option("--watch", help="Keep upscaling pictures as they arrive, until Ctrl-C.")]
RetryOpt = Annotated[bool, typer.Option("--retry-failed", help="Retry pictures that failed in an earlier run.")]


class WatchReporter:
    """Print every pass of a watched folder as one of its own; `code` is the exit code of all."""

    def __init__(self, console: Console, stop: StopRequest, *, as_json: bool) -> None:
        self.console = console
        self.code = 0
        self._stop = stop
        self._make = partial(FolderReporter, console, stop, as_json=as_json, dry_run=False, on_ray=False)
        self._pass = self._make()

    def watching(self) -> None:
        """Print that the work begins."""
        self.console.note("watching for pictures; press Ctrl-C to stop")

    def planned(self, plan: FolderPlan, workers: Sequence[UpscalerPool]) -> None:
        """Begin a pass."""
        self._pass = self._make()
        self._pass.planned(plan, workers)

    def note(self, text: str) -> None:
        """Print a note about the weights."""
        self._pass.note(text)

    def ended(self, ended: Ended) -> None:
        """Print what came of a picture."""
        self._pass.ended(ended)

    def packed(self, packed: Packed) -> None:
        """Print that an archive of results was written."""
        self._pass.packed(packed)

    def finished(self, result: FolderResult) -> None:
        """End a pass.

        Raises: StopError if it was stopped before its end.
        """
        with self._pass:
            self.code = max(self.code, self._pass.end(result))


def watch_inputs(options: FolderOptions, console: Console, *, as_json: bool) -> int:
    """Watch folders until Ctrl-C; return the exit code."""
    from esrt_core.pipeline.batch.run import StopRequest
    from esrt_core.pipeline.batch.watch import watch_folder

    stop = StopRequest()
    reporter = WatchReporter(console, stop, as_json=as_json)
    with graceful_interrupt(stop.request):
        watch_folder(options, reporter, stop)
    console.note("stopped watching; rerun to resume")
    return reporter.code


def batch(
    inputs: InputsArg,
    output: OutputOpt = None,
    include: IncludeOpt = None,
    exclude: ExcludeOpt = None,
    name: params.NameOpt = None,
    retry_failed: RetryOpt = False,
    ray: RayOpt = None,
    scale: params.ScaleOpt = None,
    width: params.WidthOpt = None,
    height: params.HeightOpt = None,
    longest: params.LongestOpt = None,
    megapixels: params.MegapixelsOpt = None,
    model: params.ModelOpt = "auto",
    device: params.DevicesOpt = "auto",
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
    watch: WatchOpt = False,
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
      esrt batch scans --watch
      esrt batch book.cbz
      esrt batch s3://bucket/photos -o s3://bucket/large --ray auto
    """
    console = Console(quiet, verbose, events=progress == "json")
    console.start(f"looking through {', '.join(inputs)} ...")
    from esrt_core.engine.options import EngineOptions
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS, EncodeOptions, ReadLimits
    from esrt_core.pipeline.batch.options import FolderOptions
    from esrt_core.pipeline.batch.run import StopRequest, upscale_folder
    from esrt_core.pipeline.image.options import UpscaleOptions

    devices = tuple(device.split(","))
    options = UpscaleOptions(
        size=params.size_request(scale, width, height, longest, megapixels),
        format=format_,
        model=model,
        engine=EngineOptions("auto" if device == "all" else devices[0], threads, precision, tile, tta),
        limits=ReadLimits(DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels, allow_truncated),
        encode=EncodeOptions(quality, params.parse_color(background), strip_metadata, dpi=dpi),
        overwrite=overwrite,
        compare=compare,
        strength=strength,
    )
    folder = FolderOptions(
        tuple(inputs), output, options, tuple(include or ()), tuple(exclude or ()), name, devices, retry_failed
    )
    if watch:
        if ray is not None or dry_run:
            raise OptionError("--watch goes with neither --ray nor --dry-run; leave one of them out")
        return watch_inputs(folder, console, as_json=json)
    stop = StopRequest()
    reporter = FolderReporter(console, stop, as_json=json, dry_run=dry_run, on_ray=ray is not None)
    with reporter:
        try:
            if ray is None:
                result = upscale_folder(folder, reporter, stop, dry_run=dry_run)
            else:
                from esrt_core.pipeline.cluster.run import upscale_on_ray

                result = upscale_on_ray(folder, ray, reporter, stop, dry_run=dry_run)
        except Interrupted as interruption:
            raise reporter.interrupted(interruption) from interruption
        return reporter.end(result)
