"""Format plans, results and errors as text, as JSON and as a progress bar."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from esrt_core.progress import Progress, ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from esrt_cli.console import Console
    from esrt_core.pipeline.image.plan import UpscalePlan
    from esrt_core.pipeline.image.run import Estimate, Result
    from esrt_core.weights.catalog import Entry
    from esrt_core.weights.header import CheckpointMetadata
    from esrt_core.weights.store import Verification


def duration(seconds: float) -> str:
    """Return seconds as text: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def plan_line(plan: UpscalePlan, estimate: Estimate) -> str:
    """Return the plan of one picture as a line."""
    info, size = plan.info, plan.size
    pages = f", {plan.pages} {'frames' if info.animated else 'pages'}" if plan.pages > 1 else ""
    passes = " then ".join(f"x{scale}" for scale in size.passes) + (" then down" if size.resample else "")
    time = "" if estimate.seconds is None else f", about {duration(estimate.seconds)}"
    tiles = f"{estimate.tiles} tile{'s' if estimate.tiles != 1 else ''}"
    return (
        f"{plan.source.name}: {info.format.label} {info.width} x {info.height}{pages} -> {plan.target.name}: "
        f"{plan.target.format.label} {size.width} x {size.height} ({passes}; {estimate.device}, {estimate.precision}, "
        f"{tiles}{time}{f'; weights {plan.reason}' if plan.is_open else ''})"
    )


def result_line(result: Result) -> str:
    """Return the result of one picture as a line."""
    weights = weights_text(result.model, result.reason)
    sheet = f", comparison in {result.sheet}" if result.sheet else ""
    return f"{result.target}: {result.size[0]} x {result.size[1]}, {duration(result.seconds)}{weights}{sheet}"


def weights_text(model: str, reason: str) -> str:
    """Return which weights were chosen and why, or "" if the user chose them."""
    return f", {model} weights ({reason})" if reason else ""


def detail_line(result: Result) -> str:
    """Return how one result was computed."""
    passes = " then ".join(f"x{scale}" for scale in result.passes)
    return (
        f"{result.source}: {passes} with {result.model} on {result.device} in {result.precision}, tile {result.tile}, "
        f"{result.computed} tiles computed, {result.reused} reused"
    )


def result_json(result: Result) -> str:
    """Return a result as one JSON object on one line; undecodable bytes of file names become escaped surrogates."""
    return json.dumps({"ok": True, **dataclasses.asdict(result)})


def plan_json(plan: UpscalePlan, estimate: Estimate) -> str:
    """Return a plan as one JSON object on one line."""
    return json.dumps(
        {
            "ok": True,
            "source": plan.source.name,
            "target": plan.target.name,
            "format": plan.target.format.name,
            "source_size": [plan.info.width, plan.info.height],
            "size": [plan.size.width, plan.size.height],
            "pages": plan.pages,
            "model": plan.model,
            "reason": plan.reason,
            "passes": plan.size.passes,
            "resampled": plan.size.resample,
            "notes": plan.notes,
            **dataclasses.asdict(estimate),
        }
    )


def weights_json(entry: Entry, metadata: CheckpointMetadata | None = None) -> dict[str, object]:
    """Return the JSON object of an entry."""
    found: dict[str, object] = {
        **dataclasses.asdict(entry.row),
        "path": str(entry.path),
        "origin": entry.origin,
        "present": entry.present,
    }
    if metadata:
        found |= {"training": dict(metadata.training), "channels": metadata.channels, "blocks": metadata.blocks}
    return found


def verification_json(checked: Verification) -> dict[str, object]:
    """Return the JSON object of a verification."""
    return {**weights_json(checked.entry), "ok": not checked.problem, "problem": checked.problem}


def error_json(source: str, error: Exception) -> str:
    """Return a failed input as one JSON object on one line."""
    return json.dumps({"ok": False, "source": source, "error": str(error)})


@contextmanager
def progress_bar(console: Console) -> Iterator[ProgressCallback]:
    """Show a bar with the remaining time on standard error during the block, if that is a terminal."""
    if not console.shows_progress():
        yield ignore_progress
        return
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
    )
    with Bar(*columns, TimeRemainingColumn(), console=Terminal(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, unit="")

        def show(report: Progress) -> None:
            bar.update(task, completed=report.done, total=report.total or None, unit=report.unit)

        yield show
