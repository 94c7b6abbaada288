"""The library of weights: list, find, index and remove bundled, imported and downloaded ones and those of an index.

Each imported or downloaded weights file has a row in a JSON file of its own, written atomically, so that two processes
never lose each other's rows.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urljoin

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.progress import ignore_progress
from esrt_core.weights.address import digest_of, is_url, parse_url
from esrt_core.weights.catalog import (
    INDEX_NAME,
    MAX_INDEX_BYTES,
    RESERVED_NAMES,
    CatalogRow,
    Entry,
    bundled_entry,
    bundled_rows,
    cached_entry,
    dump_rows,
    imported_entry,
    imported_folder,
    parse_rows,
    read_rows,
)
from esrt_core.weights.header import PICKLED, SUFFIXES, CheckpointMetadata, read_header
from esrt_core.weights.settings import StoreOptions, make_folder
from esrt_core.weights.tensors import load_weights

AUTO = "clean"  # what `auto` means if there is no picture to choose by


def all_entries(options: StoreOptions, refresh: bool = False) -> list[Entry]:
    """Return the entries of all weights, those of an index even if an imported name hides them (see is_hidden()).

    `refresh` downloads the index again, see index_entries().

    Raises: WeightsError if the index cannot be used.
    """
    urls = [cached_entry(row, "url", options) for row in url_rows(options)]
    return _own_entries(options) + urls + index_entries(options, refresh)


def is_hidden(entry: Entry, entries: Sequence[Entry]) -> bool:
    """Return whether an entry of an index is not used, because weights of its name were imported."""
    return entry.origin == "index" and any(
        other.origin == "imported" and other.row.name == entry.row.name for other in entries
    )


def named_entries(name: str, options: StoreOptions, refresh: bool = False) -> list[Entry]:
    """Return the entries of a model's name, one per scale, in order of scale.

    The index is read only for a name that is neither bundled nor imported, and downloaded again if its copy does not
    contain the name, or with `refresh`.

    Raises: WeightsError, listing the available names, if the name is unknown.
    """
    wanted = AUTO if name == "auto" else name
    found = _named(wanted, _own_entries(options))
    if not found:
        found = _named(wanted, index_entries(options, refresh)) or _named(wanted, index_entries(options, True))
    if found:
        return sorted(found, key=lambda entry: entry.row.scale)
    names = ", ".join(sorted({entry.row.name for entry in all_entries(options) if entry.origin != "url"}))
    raise WeightsError(f"unknown weights '{name}'; choose one of {names}, a file or an https:// address")


def find_entries(model: str, scale: int | None, options: StoreOptions, refresh: bool = False) -> list[Entry]:
    """Return the entries of a name, a path or an address that was used before, at one scale or all.

    Nothing but an index is downloaded, see named_entries().

    Raises: WeightsError if there are none.
    """
    if is_url(model):
        row = url_row(parse_url(model).address, options)
        if row is None:
            raise WeightsError(f"{model} is not downloaded yet; fetch it with 'esrt models fetch'")
        found = [cached_entry(row, "url", options)]
    else:
        found = [file_entry(Path(model).expanduser())] if is_path(model) else named_entries(model, options, refresh)
    available = ", ".join(f"x{entry.row.scale}" for entry in found)
    found = [entry for entry in found if scale in (None, entry.row.scale)]
    if not found:
        raise WeightsError(f"no '{model}' weights for x{scale}; available: {available}")
    return found


def file_entry(path: Path) -> Entry:
    """Return the entry of any file.

    Raises: WeightsError if it is not ESRT.
    """
    return Entry(describe_row(path), "file", path)


def index_entries(options: StoreOptions, refresh: bool) -> list[Entry]:
    """Return the entries of the configured index, if any.

    With `refresh` an index on the network is downloaded again; otherwise a cached copy is used.

    Raises: WeightsError if the index cannot be read or used, or contains a name reserved for bundled weights.
    """
    if not options.index:
        return []
    if is_url(options.index):
        found = _remote_entries(options, refresh)
    else:
        found = _local_entries(Path(options.index).expanduser().absolute(), options)
    reserved = next((entry.row.title for entry in found if entry.row.name in RESERVED_NAMES), None)
    if reserved:
        raise WeightsError(
            f"index {options.index} contains '{reserved}', a name reserved for bundled weights; rename it there"
        )
    return found


def is_path(model: str) -> bool:
    """Return whether a model is a path, not a name, judging by its suffix or characters that no name contains."""
    path = Path(model)
    return path.suffix.lower() in SUFFIXES or len(path.parts) != 1 or model.startswith(("~", "."))


def remove_weights(model: str, scale: int | None, options: StoreOptions) -> list[Entry]:
    """Delete the files of a name or an address and their rows; return their entries.

    Raises: WeightsError for bundled weights, for files outside the library, and if there is nothing to delete.
    """
    found = find_entries(model, scale, options)
    for entry in found:
        if entry.origin == "bundled":
            raise WeightsError(f"'{entry.row.title}' is bundled with the program and cannot be removed")
        if entry.origin == "file" or (entry.origin == "index" and not entry.row.urls):
            raise WeightsError(f"{entry.path} is your own file, not managed by esrt; delete it yourself")
    removed = [entry for entry in found if entry.present or entry.origin != "index"]
    if not removed:
        raise WeightsError(f"'{model}' is not in the cache; there is nothing to remove")
    for entry in removed:
        _remove(entry, options)
    return removed


def describe_file(path: Path) -> CheckpointMetadata:
    """Return the metadata of a weights file, inferred from its tensors if it has none.

    torch is imported only for a .pth or .pt file.

    Raises: WeightsError if the file is not ESRT.
    """
    if path.suffix.lower() not in PICKLED:
        return read_header(path).metadata
    return load_weights(path).metadata


def make_index(folder: Path, base_url: str = "") -> tuple[CatalogRow, ...]:
    """Write `index.json` with a row for every .safetensors file of a folder, so that it can be hosted; return the rows.

    A file `mine_x4.safetensors` becomes the row `mine` x4. With `base_url` the rows have full addresses; otherwise the
    files are found beside the index, wherever that is.

    Raises: WeightsError if a file is not ESRT or there are no files.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder} is not a folder; expected one with .safetensors files")
    paths = sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("."))
    if not paths:
        raise WeightsError(f"{folder} has no .safetensors files; convert .pth files with 'esrt models import'")
    rows = tuple(describe_row(path, base_url=base_url) for path in paths)
    with atomic_write(folder / INDEX_NAME, overwrite=True) as temporary:
        temporary.write_bytes(dump_rows(rows))
    return rows


def describe_row(path: Path, name: str = "", base_url: str = "") -> CatalogRow:
    """Return the row of one weights file, from its content and its header, by default named after the file."""
    metadata = describe_file(path)
    digest = digest_of(path)
    return CatalogRow(
        name=name or name_from_file(path),
        scale=metadata.scale,
        kind=metadata.kind,
        file=path.name,
        bytes=digest.bytes,
        sha256=digest.sha256,
        urls=(f"{base_url.rstrip('/')}/{quote(os.fsencode(path.name))}",) if base_url else (),
        licence=metadata.licence,
        training_data=metadata.training_data,
        psnr=metadata.psnr,
        card=metadata.card,
    )


def name_from_file(path: Path) -> str:
    """Return a name for a file: its stem without a trailing scale, with invalid characters replaced."""
    stem = re.sub(r"[_-]x[234]$", "", path.stem)
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem).lstrip("._-")[:64] or "weights"


def imported_rows(options: StoreOptions) -> list[CatalogRow]:
    """Return the rows of imported weights."""
    return _rows(imported_folder(options))


def url_rows(options: StoreOptions) -> list[CatalogRow]:
    """Return the rows of weights downloaded from addresses given with --model."""
    return [row for row in _rows(options.data / "urls") if row.urls]


def url_row(address: str, options: StoreOptions) -> CatalogRow | None:
    """Return the row of the weights that an address delivered at first use, None if it was never used."""
    record = _url_record(address, options)
    rows = read_rows(record) if record.is_file() else ()
    return next((row for row in rows if row.urls), None)


def save_imported_row(row: CatalogRow, options: StoreOptions) -> None:
    """Write the row of an imported file, replacing an older one of that name and scale."""
    _write(imported_folder(options) / f"{row.name}_x{row.scale}.json", row)


def save_url_row(address: str, row: CatalogRow, options: StoreOptions) -> None:
    """Write the row of weights downloaded from an address."""
    _write(_url_record(address, options), row)


def delete_imported(row: CatalogRow, options: StoreOptions) -> None:
    """Delete the row of an imported file, then the file."""
    (imported_folder(options) / f"{row.name}_x{row.scale}.json").unlink(missing_ok=True)
    (imported_folder(options) / row.file).unlink(missing_ok=True)


def delete_url_row(address: str, options: StoreOptions) -> None:
    """Delete the row of an address."""
    _url_record(address, options).unlink(missing_ok=True)


def _own_entries(options: StoreOptions) -> list[Entry]:
    bundled = [bundled_entry(row) for row in bundled_rows()]
    return bundled + [imported_entry(row, options) for row in imported_rows(options)]


def _named(name: str, entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.row.name == name]


def _remove(entry: Entry, options: StoreOptions) -> None:
    if entry.origin == "imported":
        delete_imported(entry.row, options)
    if entry.origin == "url":
        delete_url_row(entry.row.urls[0], options)
    entry.path.unlink(missing_ok=True)


def _local_entries(path: Path, options: StoreOptions) -> list[Entry]:
    """Return the entries of an index file, or of the one in a folder; files beside it are used in place."""
    path = path / INDEX_NAME if path.is_dir() else path
    return [
        cached_entry(row, "index", options) if row.urls else Entry(row, "index", path.parent / row.file)
        for row in read_rows(path)
    ]


def _remote_entries(options: StoreOptions, refresh: bool) -> list[Entry]:
    url = parse_url(options.index)
    copy = options.cache / "indexes" / f"{hashlib.sha256(options.index.encode()).hexdigest()[:16]}.json"
    if not copy.is_file() or (refresh and not options.offline):
        _download(url.address, url.sha256, copy, options)
    return [cached_entry(_with_addresses(row, url.address), "index", options) for row in read_rows(copy)]


def _download(address: str, sha256: str, copy: Path, options: StoreOptions) -> None:
    """Update the cached copy of an index, which an index that does not parse never replaces."""
    if options.offline:
        raise WeightsError(
            f"index {address} is not in the cache and ESRT_OFFLINE is set; run 'esrt models list' once while online"
        )
    from esrt_core.weights.download import fetch  # and with it HTTP and TLS

    make_folder(copy.parent)
    with atomic_write(copy, overwrite=True) as temporary:
        limits = dataclasses.replace(options.download, max_bytes=MAX_INDEX_BYTES)
        found = fetch([address], temporary, None, limits, ignore_progress)
        if sha256 and found.sha256 != sha256:
            raise WeightsError(f"index {address} has sha256 {found.sha256}, expected {sha256}; nothing was kept")
        parse_rows(temporary.read_bytes(), address)


def _with_addresses(row: CatalogRow, base: str) -> CatalogRow:
    """Return the row with full addresses, by default that of its file beside the index."""
    try:
        urls = tuple(urljoin(base, url) for url in row.urls or (quote(os.fsencode(row.file)),))
    except ValueError as error:
        raise WeightsError(f"index {base} has an invalid address for {row.title}: {error}") from error
    return dataclasses.replace(row, urls=urls)


def _url_record(address: str, options: StoreOptions) -> Path:
    return options.data / "urls" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.json"


def _rows(folder: Path) -> list[CatalogRow]:
    return [row for path in sorted(folder.glob("[!.]*.json")) for row in read_rows(path)]


def _write(path: Path, row: CatalogRow) -> None:
    make_folder(path.parent)
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_bytes(dump_rows([row]))
