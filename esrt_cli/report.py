"""Format plans, results and errors of pictures and weights as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from esrt_cli.figures import counted, duration, expected

if TYPE_CHECKING:
    from esrt_core.pipeline.image.plan import UpscalePlan
    from esrt_core.pipeline.image.run import Estimate, Result
    from esrt_core.weights.catalog import Entry
    from esrt_core.weights.header import CheckpointMetadata
    from esrt_core.weights.store import Verification


def plan_line(plan: UpscalePlan, estimate: Estimate) -> str:
    """Return the plan of one picture as a line."""
    info, size = plan.info, plan.size
    pages = f", {counted(plan.pages, 'frames' if info.animated else 'pages')}" if plan.pages > 1 else ""
    passes = " then ".join(f"x{scale}" for scale in size.passes) + (" then down" if size.resample else "")
    return (
        f"{plan.source.name}: {info.format.label} {info.width} x {info.height}{pages} -> {plan.target.name}: "
        f"{plan.target.format.label} {size.width} x {size.height} ({passes}; {estimate.device}, {estimate.precision}, "
        f"{counted(estimate.tiles, 'tiles')}, {expected(estimate.seconds)}"
        f"{f'; weights {plan.reason}' if plan.is_open else ''})"
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
        f"{counted(result.computed, 'tiles')} computed, {result.reused:,} reused"
    )


def result_json(result: Result) -> str:
    """Return a result as one JSON object on one line; undecodable bytes of file names become escaped surrogates."""
    return json.dumps({"ok": True, **dataclasses.asdict(result)})


def plan_json(plan: UpscalePlan, estimate: Estimate) -> str:
    """Return a plan as one JSON object on one line."""
    return json.dumps({"ok": True, **plan_values(plan, estimate)})


def plan_values(plan: UpscalePlan, estimate: Estimate) -> dict[str, Any]:
    """Return a plan as JSON values."""
    return {
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
