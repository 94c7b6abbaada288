"""A row of the catalog together with the place of its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from esrt_core.weights.catalog import BUNDLED, CatalogRow
from esrt_core.weights.settings import StoreOptions

Origin = Literal["bundled", "imported", "url", "index", "file"]


@dataclass(frozen=True)
class Entry:
    """Hold a row, where it comes from, and where its file is or will be."""

    row: CatalogRow
    origin: Origin
    path: Path

    @property
    def present(self) -> bool:
        """Tell whether the file is on this machine."""
        return self.path.is_file()


def bundled_entry(row: CatalogRow) -> Entry:
    """Return the entry of a file inside the program."""
    return Entry(row, "bundled", BUNDLED / row.file)


def imported_entry(row: CatalogRow, options: StoreOptions) -> Entry:
    """Return the entry of a file that the user imported."""
    return Entry(row, "imported", imported_folder(options) / row.file)


def cached_entry(row: CatalogRow, origin: Origin, options: StoreOptions) -> Entry:
    """Return the entry of a file that is downloaded; its name carries its hash, so that versions never mix."""
    return Entry(row, origin, options.cache / "weights" / f"{row.sha256[:16]}-{row.file}")


def imported_folder(options: StoreOptions) -> Path:
    """Return the folder of imported weights and their records."""
    return options.data / "weights"
