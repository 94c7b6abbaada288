"""One small file for every weights file that the user imported or an address delivered.

A file each, written atomically, so that two processes never lose each other's records.
"""

import hashlib
from pathlib import Path

from esrt_core.files import atomic_write
from esrt_core.weights.catalog import CatalogRow, dump_rows, read_rows
from esrt_core.weights.entry import imported_folder
from esrt_core.weights.settings import StoreOptions, make_folder


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
