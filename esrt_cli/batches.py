"""Folders of pictures: the plan in one block, every picture as it ends, and the failures together at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_cli.report import detail_line, duration, error_json, result_json, result_line
from esrt_cli.signals import finishing
from esrt_core.errors import StopError

if TYPE_CHECKING:
    from collections.abc import Callable

    from esrt_cli.console import Console
    from esrt_core.pipeline.engines import Engines
    from esrt_core.pipeline.folder_meter import Status
    from esrt_core.pipeline.folder_options import FolderOptions
    from esrt_core.pipeline.folder_plan import Failure, FolderPlan
    from esrt_core.pipeline.folder_run import Ended, FolderResult, Stop
    from esrt_core.pipeline.ray_cluster import Crew
    from esrt_core.pipeline.store_plan import StorePlan

_INTERRUPTED = 130


def upscale_folder(options: FolderOptions, console: Console, *, as_json: bool, dry_run: bool) -> int:
    """Plan and upscale the pictures of folders, report, and return the exit code: 1 where one of them failed."""
    from esrt_core.pipeline.engines import Engines
    from esrt_core.pipeline.folder_crew import make_crew
    from esrt_core.pipeline.folder_plan import plan_folder

    engines = Engines(options.upscale.model, options.upscale.engine)
    plan = plan_folder(options, engines)
    crew = make_crew(plan) if plan.tasks else []
    reporter = FolderReporter(console, as_json)
    reporter.plan(plan, crew)
    if dry_run:
        reporter.listing(plan)
        return 1 if plan.refused or plan.failed_before else 0
    return run(plan, crew, reporter)


def upscale_on_ray(options: FolderOptions, address: str, console: Console, *, as_json: bool, dry_run: bool) -> int:
    """Plan pictures here, upscale them on a cluster, report, and return the exit code as upscale_folder() does."""
    from esrt_core.pipeline.engines import Engines
    from esrt_core.pipeline.folder_run import Stop
    from esrt_core.pipeline.ray_cluster import check_cluster_options
    from esrt_core.pipeline.ray_run import run_on_ray
    from esrt_core.pipeline.store_plan import plan_store

    check_cluster_options(address, options.devices)
    engines = Engines(options.upscale.model, options.upscale.engine)
    plan = plan_store(options, engines)
    reporter = FolderReporter(console, as_json)
    reporter.plan(plan, [])
    for note in engines.notes:
        console.note(f"note: {note}")
    if dry_run:
        reporter.listing(plan)
        return 1 if plan.refused or plan.failed_before else 0
    stop = Stop()
    asking = _asking(stop, console, "stopping with the next picture that ends; Ctrl-C again stops at once")
    with asking, reporter.progress(len(plan.tasks)) as shown:
        result = run_on_ray(plan, address, reporter.crew, lambda ended: reporter.ended(ended, shown), stop)
    return end(plan, result, stop, reporter)


def run(plan: FolderPlan, crew: list[Engines], reporter: FolderReporter) -> int:
    """Do the work of a plan; Ctrl-C once lets the pictures in hand end."""
    from esrt_core.pipeline.folder_run import Stop, run_folder

    stop = Stop()
    asking = _asking(stop, reporter.console, "finishing the pictures in hand; Ctrl-C again stops at once")
    with asking, reporter.progress(len(plan.tasks)) as shown:
        result = run_folder(plan, crew, lambda ended: reporter.ended(ended, shown), stop)
    return end(plan, result, stop, reporter)


def end(plan: FolderPlan | StorePlan, result: FolderResult, stop: Stop, reporter: FolderReporter) -> int:
    """Report the end, and return the exit code; raise StopError where the work was stopped before it."""
    reporter.summary(plan, result)
    if stop.asked and result.left:
        raise StopError(f"stopped: {result.done} done, {result.left} left; the same command goes on", _INTERRUPTED)
    return 1 if result.failures or result.stopped or plan.refused or plan.failed_before else 0


def _asking(stop: Stop, console: Console, note: str) -> Any:
    def ask() -> None:
        stop.ask()
        console.note(note)

    return finishing(ask)


@dataclass
class FolderReporter:
    """Print the plan, every picture and the end, as lines or as JSON."""

    console: Console
    as_json: bool

    def plan(self, plan: FolderPlan | StorePlan, crew: list[Engines]) -> None:
        """Print the plan before the work."""
        for line in plan_lines(plan, crew):
            self.console.note(line)
        for note in dict.fromkeys(note for engines in crew for note in engines.notes):
            self.console.note(f"note: {note}")

    def crew(self, crew: Crew) -> None:
        """Print which part of a cluster works."""
        noun = "actor" if crew.actors == 1 else "actors"
        each = "a GPU" if crew.gpus else f"{crew.cores} {'core' if crew.cores == 1 else 'cores'}"
        self.console.note(f"on {crew.actors} {noun} of Ray with {each} each")

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
            self.console.error(f"{failure.reason} (in an earlier run; --retry-failed tries it again)")
        if self.as_json:
            for failure in (*plan.refused, *plan.failed_before):
                self._failure_record(failure)
            self.console.record(json.dumps({"summary": summary_values(plan, result)}))
        self.console.note(summary_line(plan, result))
        if result.stopped is not None:
            self.console.error(f"{result.stopped}; {result.left} pictures are left: the same command goes on with them")

    @contextmanager
    def progress(self, pictures: int) -> Iterator[Callable[[Status], None]]:
        """Show a bar with paces, failures and the time left while the block runs, where that is a terminal."""
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


def plan_lines(plan: FolderPlan | StorePlan, crew: list[Engines]) -> Iterator[str]:
    """Say what is about to happen: how many pictures, what is left alone, room, device and time."""
    roots = ", ".join(plan.roots[:3]) + (" ..." if len(plan.roots) > 3 else "")
    noun = "picture" if plan.found == 1 else "pictures"
    yield f"{plan.found} {noun} -> {roots}: {len(plan.tasks)} to do, {len(plan.done)} done already"
    counts = {
        "as large as asked already": len(plan.large),
        "failed earlier": len(plan.failed_before),
        "cannot be done (listed at the end)": len(plan.refused),
    }
    others = [f"{count} {what}" for what, count in counts.items() if count]
    others += [f"{count} {reason}" for reason, count in sorted(plan.passed_over.items())]
    if others:
        yield f"left alone: {', '.join(others)}"
    for disk in plan.disks():
        warning = ": that may not be enough" if disk.expected > disk.free else ""
        yield f"about {size_text(disk.expected)} of results, {size_text(disk.free)} free{warning}"
    if crew:
        yield _work_line(plan, crew)


def _work_line(plan: FolderPlan | StorePlan, crew: list[Engines]) -> str:
    from esrt_core.pipeline.folder_meter import expected_seconds, is_long

    uppers = [engines.of(plan.tasks[0].plan.lineup).upscaler(plan.tasks[0].plan.size.passes[0]) for engines in crew]
    where = f"on {', '.join(dict.fromkeys(upper.device_name for upper in uppers))} in {uppers[0].precision}"
    if not is_long(plan.tasks):
        return where
    return f"{where}, about {duration(expected_seconds(plan.tasks, crew))}"


def status_line(status: Status) -> str:
    """Say how far the work is."""
    left = "" if status.seconds_left is None else f", {duration(status.seconds_left)} left"
    failed = f", {status.failed} failed" if status.failed else ""
    return (
        f"{status.ended} of {status.pictures} pictures, {status.pictures_per_second:.2g} a second, "
        f"{status.megapixels_per_second:.2g} megapixels a second{left}{failed}"
    )


def summary_values(plan: FolderPlan | StorePlan, result: FolderResult) -> dict[str, Any]:
    """Return the counts of a run."""
    return {
        "done": result.done,
        "done_before": len(plan.done),
        "elsewhere": result.elsewhere,
        "large": len(plan.large),
        "failed": len(result.failures) + len(plan.refused),
        "failed_before": len(plan.failed_before),
        "left": result.left,
        "passed_over": dict(sorted(plan.passed_over.items())),
        "leftovers_removed": result.leftovers,
        "seconds": round(result.status.seconds, 3) if result.status else 0.0,
        "megapixels": round(result.status.megapixels, 3) if result.status else 0.0,
        "stopped": None if result.stopped is None else str(result.stopped),
    }


def summary_line(plan: FolderPlan | StorePlan, result: FolderResult) -> str:
    """Say what was done."""
    values = summary_values(plan, result)
    words = {
        "done_before": "done before",
        "elsewhere": "done by another run",
        "large": "as large as asked already",
        "failed": "failed",
        "failed_before": "failed earlier",
        "left": "left",
        "leftovers_removed": "unfinished files of an earlier run removed",
    }
    counts = [f"{result.done} done", *(f"{values[name]} {text}" for name, text in words.items() if values[name])]
    status = result.status
    pace = ""
    if status is not None:
        pace = (
            f"; {duration(status.seconds)}, {status.pictures_per_second:.2g} pictures and "
            f"{status.megapixels_per_second:.2g} megapixels a second"
        )
    return ", ".join(counts) + pace


def size_text(count: int) -> str:
    """Return bytes as people say them."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
