"""Weights in words and in JSON, for `esrt models`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esrt_core.weights.entry import Entry
    from esrt_core.weights.fetching import Checked
    from esrt_core.weights.metadata import CheckpointMetadata


def table(entries: Sequence[Entry]) -> list[str]:
    """Return one line for every entry, under a line of titles, in columns."""
    rows = [("name", "scale", "kind", "size", "PSNR", "where"), *(_cells(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def details(entry: Entry, metadata: CheckpointMetadata | None) -> list[str]:
    """Return everything that is known about an entry, one line each; `metadata` is None when the file is not here."""
    row = entry.row
    facts = [
        ("kind", row.kind),
        ("file", f"{entry.path} ({where(entry)})"),
        ("size", f"{row.bytes:,} bytes"),
        ("sha256", row.sha256),
        ("urls", " ".join(row.urls)),
        ("licence", row.licence),
        ("trained on", row.training_data),
        ("training", _training(metadata)),
        ("network", f"{metadata.channels} channels, {metadata.blocks} blocks" if metadata else ""),
        ("PSNR", _psnr(entry)),
        ("card", row.card),
    ]
    return [row.title, *(f"  {name}: {value}" for name, value in facts if value)]


def where(entry: Entry) -> str:
    """Say in a word where an entry's file is."""
    if entry.origin in ("bundled", "imported"):
        return entry.origin if entry.present else f"{entry.origin}, missing"
    if entry.origin == "file" or (entry.origin == "index" and not entry.row.urls):
        return "file"
    state = "cached" if entry.present else "not downloaded"
    return f"{state}, {entry.row.urls[0]}" if entry.origin == "url" else state


def record(entry: Entry, metadata: CheckpointMetadata | None = None) -> dict[str, object]:
    """Return an entry as JSON knows it."""
    found: dict[str, object] = {
        **dataclasses.asdict(entry.row),
        "path": str(entry.path),
        "origin": entry.origin,
        "present": entry.present,
    }
    if metadata:
        found |= {"training": dict(metadata.training), "channels": metadata.channels, "blocks": metadata.blocks}
    return found


def checked_record(checked: Checked) -> dict[str, object]:
    """Return the result of a verification as JSON knows it."""
    return {**record(checked.entry), "ok": not checked.problem, "problem": checked.problem}


def as_json(records: Sequence[object]) -> str:
    """Return one JSON array."""
    return json.dumps(list(records), indent=2)


def _cells(entry: Entry) -> tuple[str, str, str, str, str, str]:
    row = entry.row
    return (row.name, f"x{row.scale}", row.kind, f"{row.bytes / 1e6:.1f} MB", _psnr(entry), where(entry))


def _psnr(entry: Entry) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in entry.row.psnr.items())


def _training(metadata: CheckpointMetadata | None) -> str:
    return ", ".join(f"{key} {value}" for key, value in metadata.training.items()) if metadata else ""
