"""What an index file offers, on this machine or on the network."""

import dataclasses
import hashlib
from pathlib import Path
from urllib.parse import quote, urljoin

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.progress import ignore_progress
from esrt_core.weights.catalog import INDEX_NAME, KEPT_NAMES, CatalogRow, parse_rows, read_rows
from esrt_core.weights.download import fetch
from esrt_core.weights.entry import Entry, cached_entry
from esrt_core.weights.settings import StoreOptions, make_folder
from esrt_core.weights.urls import is_url, parse_url


def offered_entries(options: StoreOptions, refresh: bool) -> list[Entry]:
    """Return the entries of the configured index, none without one.

    With `refresh` an index on the network is downloaded again; without, a copy that is here serves. Raises WeightsError
    when the index cannot be had or used, or offers a name that is kept for bundled weights.
    """
    if not options.index:
        return []
    if is_url(options.index):
        found = _on_network(options, refresh)
    else:
        found = _on_disk(Path(options.index).expanduser().absolute(), options)
    kept = next((entry.row.title for entry in found if entry.row.name in KEPT_NAMES), None)
    if kept:
        raise WeightsError(f"index {options.index} offers '{kept}', a name kept for bundled weights; rename it there")
    return found


def _on_disk(path: Path, options: StoreOptions) -> list[Entry]:
    """Return the entries of an index file or of the one in a folder; files beside it are used where they lie."""
    path = path / INDEX_NAME if path.is_dir() else path
    return [
        cached_entry(row, "index", options) if row.urls else Entry(row, "index", path.parent / row.file)
        for row in read_rows(path)
    ]


def _on_network(options: StoreOptions, refresh: bool) -> list[Entry]:
    url = parse_url(options.index)
    copy = options.cache / "indexes" / f"{hashlib.sha256(options.index.encode()).hexdigest()[:16]}.json"
    if not copy.is_file() or (refresh and not options.offline):
        _download(url.address, url.sha256, copy, options)
    return [cached_entry(_with_addresses(row, url.address), "index", options) for row in read_rows(copy)]


def _download(address: str, sha256: str, copy: Path, options: StoreOptions) -> None:
    """Bring the copy of an index up to date; one that does not parse never replaces it."""
    if options.offline:
        raise WeightsError(f"index {address} is not in the cache and ESRT_OFFLINE is set; list it once while online")
    make_folder(copy.parent)
    with atomic_write(copy, overwrite=True) as temporary:
        found = fetch([address], temporary, None, options.download, ignore_progress)
        if sha256 and found.sha256 != sha256:
            raise WeightsError(f"index {address} has sha256 {found.sha256}, expected {sha256}; nothing was kept")
        parse_rows(temporary.read_bytes(), address)


def _with_addresses(row: CatalogRow, base: str) -> CatalogRow:
    """Return the row with full addresses; without any, its file lies beside the index."""
    return dataclasses.replace(row, urls=tuple(urljoin(base, url) for url in row.urls or (quote(row.file),)))
