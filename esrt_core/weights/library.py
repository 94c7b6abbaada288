"""What any weights file says about itself, of whatever form it is.

Make an index of a folder of weights, so that anyone can host them.

What an index file offers, on this machine or on the network.

One small file for every weights file that the user imported or an address delivered.

A file each, written atomically, so that two processes never lose each other's records.

Everything on the shelf: bundled, imported, fetched from addresses, offered by an index.

Delete weights that were imported or downloaded.
"""

import dataclasses
import hashlib
import re
from pathlib import Path
from urllib.parse import quote, urljoin

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.progress import ignore_progress
from esrt_core.weights.catalog import (
    INDEX_NAME,
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
from esrt_core.weights.download import digest_of, fetch, is_url, parse_url
from esrt_core.weights.header import PICKLED, SUFFIXES, CheckpointMetadata, read_header
from esrt_core.weights.settings import StoreOptions, make_folder


def describe_file(path: Path) -> CheckpointMetadata:
    """Return the metadata of a weights file, read off its tensors where it has none.

    Only a .pth or .pt file costs the import of torch, which alone can read it. Raises WeightsError when it is not ESRT.
    """
    if path.suffix.lower() not in PICKLED:
        return read_header(path).metadata
    from esrt_core.weights.checkpoint import load_checkpoint

    return load_checkpoint(path).metadata


def make_index(folder: Path, base_url: str = "") -> tuple[CatalogRow, ...]:
    """Describe every .safetensors file of a folder in `index.json` beside them, and return the rows.

    A file `mine_x4.safetensors` becomes the row `mine` x4. With `base_url` the rows carry full addresses, without they
    are found beside the index, wherever that is. Raises WeightsError when a file is not ESRT or there is none.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder} is not a folder; expected one with .safetensors files")
    paths = sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("."))
    if not paths:
        raise WeightsError(f"{folder} holds no .safetensors files; 'esrt models import' makes them from .pth files")
    rows = tuple(describe_row(path, base_url=base_url) for path in paths)
    with atomic_write(folder / INDEX_NAME, overwrite=True) as temporary:
        temporary.write_text(dump_rows(rows), encoding="utf-8")
    return rows


def describe_row(path: Path, name: str = "", base_url: str = "") -> CatalogRow:
    """Return the row of one weights file, from its content and its header; its name by default from the file's."""
    metadata = describe_file(path)
    digest = digest_of(path)
    return CatalogRow(
        name=name or name_from_file(path),
        scale=metadata.scale,
        kind=metadata.kind,
        file=path.name,
        bytes=digest.bytes,
        sha256=digest.sha256,
        urls=(f"{base_url.rstrip('/')}/{quote(path.name)}",) if base_url else (),
        licence=metadata.licence,
        training_data=metadata.training_data,
        psnr=metadata.psnr,
        card=metadata.card,
    )


def name_from_file(path: Path) -> str:
    """Return the name that a file's name suggests: its stem without a scale at the end, in characters of a name."""
    stem = re.sub(r"[_-]x[234]$", "", path.stem)
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem).lstrip("._-")[:64] or "weights"


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
    kept = next((entry.row.title for entry in found if entry.row.name in RESERVED_NAMES), None)
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


def imported_rows(options: StoreOptions) -> list[CatalogRow]:
    """Return the rows of the weights that the user imported."""
    return _rows(imported_folder(options))


def url_rows(options: StoreOptions) -> list[CatalogRow]:
    """Return the rows of the weights that addresses given with --model delivered."""
    return _rows(options.data / "urls")


def url_row(address: str, options: StoreOptions) -> CatalogRow | None:
    """Return what an address delivered at its first use, None when it was never used."""
    record = _url_record(address, options)
    return read_rows(record)[0] if record.is_file() else None


def keep_imported(row: CatalogRow, options: StoreOptions) -> None:
    """Write the record of an imported file, in place of an older one of that name and scale."""
    _write(imported_folder(options) / f"{row.name}_x{row.scale}.json", row)


def keep_url(address: str, row: CatalogRow, options: StoreOptions) -> None:
    """Write the record of what an address delivered."""
    _write(_url_record(address, options), row)


def drop_imported(row: CatalogRow, options: StoreOptions) -> None:
    """Delete an imported file and its record, the record first."""
    (imported_folder(options) / f"{row.name}_x{row.scale}.json").unlink(missing_ok=True)
    (imported_folder(options) / row.file).unlink(missing_ok=True)


def drop_url(address: str, options: StoreOptions) -> None:
    """Delete the record of an address."""
    _url_record(address, options).unlink(missing_ok=True)


def _url_record(address: str, options: StoreOptions) -> Path:
    return options.data / "urls" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.json"


def _rows(folder: Path) -> list[CatalogRow]:
    return [row for path in sorted(folder.glob("[!.]*.json")) for row in read_rows(path)]


def _write(path: Path, row: CatalogRow) -> None:
    make_folder(path.parent)
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(dump_rows([row]), encoding="utf-8")


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
