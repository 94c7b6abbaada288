"""Delete weights that were imported or downloaded."""

from esrt_core.errors import WeightsError
from esrt_core.weights.entry import Entry
from esrt_core.weights.records import drop_imported, drop_url
from esrt_core.weights.settings import StoreOptions
from esrt_core.weights.shelf import find_entries


def remove_weights(model: str, scale: int | None, options: StoreOptions) -> list[Entry]:
    """Delete the files of a name or an address, with what is recorded about them; return their entries.

    Raises WeightsError for bundled weights, for files outside the store, and where there is nothing to delete.
    """
    found = find_entries(model, scale, options)
    for entry in found:
        if entry.origin == "bundled":
            raise WeightsError(f"'{entry.row.title}' is part of the program and cannot be removed")
        if entry.origin == "file" or (entry.origin == "index" and not entry.row.urls):
            raise WeightsError(f"{entry.path} is your own file, not one that esrt keeps; delete it yourself")
    removed = [entry for entry in found if entry.present or entry.origin != "index"]
    if not removed:
        raise WeightsError(f"'{model}' is not in the cache; there is nothing to remove")
    for entry in removed:
        _remove(entry, options)
    return removed


def _remove(entry: Entry, options: StoreOptions) -> None:
    if entry.origin == "imported":
        drop_imported(entry.row, options)
    if entry.origin == "url":
        drop_url(entry.row.urls[0], options)
    entry.path.unlink(missing_ok=True)
