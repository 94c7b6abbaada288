"""Bring weights onto this machine, and look whether those that are here are whole."""

from dataclasses import dataclass

from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.entry import Entry
from esrt_core.weights.settings import StoreOptions
from esrt_core.weights.shelf import all_entries, find_entries
from esrt_core.weights.store import WeightsFile, problem_with, ready, resolve
from esrt_core.weights.urls import is_url


def fetch_weights(
    model: str, scale: int | None, options: StoreOptions, progress: ProgressCallback = ignore_progress
) -> list[WeightsFile]:
    """Download what a name or an address means, at one scale or at all of them, unless it is here already.

    Raises WeightsError when it cannot be had.
    """
    if is_url(model):
        return [resolve(model, scale, progress, options)]
    return [ready(entry, options, progress) for entry in find_entries(model, scale, options, refresh=True)]


@dataclass(frozen=True)
class Checked:
    """Hold an entry and what is wrong with its file, "" for nothing."""

    entry: Entry
    problem: str


def verify_weights(model: str | None, scale: int | None, options: StoreOptions) -> list[Checked]:
    """Compare the content of what a name, path or address means, or of all that is here, with what it should be."""
    found = find_entries(model, scale, options) if model else [e for e in all_entries(options) if _is_here(e)]
    return [Checked(entry, problem_with(entry)) for entry in found]


def _is_here(entry: Entry) -> bool:
    return entry.present or entry.origin in ("bundled", "imported")
