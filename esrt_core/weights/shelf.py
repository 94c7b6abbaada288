"""Everything on the shelf: bundled, imported, fetched from addresses, offered by an index."""

from pathlib import Path

from esrt_core.errors import WeightsError
from esrt_core.weights.catalog import bundled_rows
from esrt_core.weights.entry import Entry, bundled_entry, cached_entry, imported_entry
from esrt_core.weights.index import describe_row
from esrt_core.weights.offers import offered_entries
from esrt_core.weights.records import imported_rows, url_row, url_rows
from esrt_core.weights.settings import StoreOptions
from esrt_core.weights.suffixes import SUFFIXES
from esrt_core.weights.urls import is_url, parse_url

AUTO = "clean"  # what `auto` means where there is no picture to choose by


def all_entries(options: StoreOptions, refresh: bool = False) -> list[Entry]:
    """Return the entries that have a name, and what addresses delivered; bundled and imported names hide an index's.

    `refresh` asks the network for the index, see offered_entries(). Raises WeightsError for an index that is no good.
    """
    own = _own_entries(options)
    taken = {entry.row.name for entry in own}
    offered = [entry for entry in offered_entries(options, refresh) if entry.row.name not in taken]
    return own + [cached_entry(row, "url", options) for row in url_rows(options)] + offered


def named_entries(name: str, options: StoreOptions, refresh: bool = False) -> list[Entry]:
    """Return the entries that a model's name means, one a scale, in order of scale.

    The index is read only for a name that is neither bundled nor imported, and asked for on the network when its copy
    does not know the name, or with `refresh`. Raises WeightsError, listing the names there are, for an unknown name.
    """
    wanted = AUTO if name == "auto" else name
    found = _named(wanted, _own_entries(options))
    if not found:
        found = _named(wanted, offered_entries(options, refresh)) or _named(wanted, offered_entries(options, True))
    if found:
        return sorted(found, key=lambda entry: entry.row.scale)
    names = ", ".join(sorted({entry.row.name for entry in all_entries(options) if entry.origin != "url"}))
    raise WeightsError(f"there are no weights called '{name}'; expected one of {names}, a file or an https:// address")


def find_entries(model: str, scale: int | None, options: StoreOptions, refresh: bool = False) -> list[Entry]:
    """Return the entries that a name, a path or a used address means, at one scale or at all of them.

    Nothing is downloaded but an index, see named_entries(). Raises WeightsError when there are none.
    """
    if is_url(model):
        row = url_row(parse_url(model).address, options)
        if row is None:
            raise WeightsError(f"{model} was never used; fetch it with 'esrt models fetch'")
        found = [cached_entry(row, "url", options)]
    else:
        found = [file_entry(Path(model).expanduser())] if is_path(model) else named_entries(model, options, refresh)
    there = ", ".join(f"x{entry.row.scale}" for entry in found)
    found = [entry for entry in found if scale in (None, entry.row.scale)]
    if not found:
        raise WeightsError(f"there are no '{model}' weights for x{scale}; expected {there}")
    return found


def file_entry(path: Path) -> Entry:
    """Return the entry of a file anywhere. Raises WeightsError when it is not ESRT."""
    return Entry(describe_row(path), "file", path)


def is_path(model: str) -> bool:
    """Tell a path from a name, by its ending or by what no name contains."""
    path = Path(model)
    return path.suffix.lower() in SUFFIXES or len(path.parts) != 1 or model.startswith(("~", "."))


def _own_entries(options: StoreOptions) -> list[Entry]:
    bundled = [bundled_entry(row) for row in bundled_rows()]
    return bundled + [imported_entry(row, options) for row in imported_rows(options)]


def _named(name: str, entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.row.name == name]
