"""Import a weights file into the user's library under a name."""

import dataclasses
from pathlib import Path

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.weights.catalog import RESERVED_NAMES, CatalogRow, Entry, check_name, imported_entry, imported_folder
from esrt_core.weights.checkpoint import load_checkpoint, save_checkpoint
from esrt_core.weights.header import PICKLED, check_file
from esrt_core.weights.library import describe_row, imported_rows, save_imported_row
from esrt_core.weights.settings import StoreOptions, make_folder, temporary_folder


def import_weights(source: Path, name: str, overwrite: bool, options: StoreOptions) -> Entry:
    """Copy a .safetensors file, or convert a .pth or .pt file, so that --model NAME finds it at its scale.

    Raises: WeightsError if it is not ESRT, if the name is invalid or reserved, or if the name is in use at this scale
    without `overwrite`.
    """
    check_name(name)
    if name in RESERVED_NAMES:
        raise WeightsError(f"the name '{name}' is reserved for bundled weights; choose another with --name")
    check_file(source)
    folder = make_folder(imported_folder(options))
    with temporary_folder(folder) as temporary:
        copy = _copy(source, temporary)
        row = describe_row(copy, name)
        older = [each for each in imported_rows(options) if (each.name, each.scale) == (name, row.scale)]
        if older and not overwrite:
            raise WeightsError(f"'{row.title}' already exists; use --overwrite or another --name")
        row = dataclasses.replace(row, file=f"{name}_x{row.scale}-{row.sha256[:8]}.safetensors")
        entry = imported_entry(row, options)
        copy.replace(entry.path)
    save_imported_row(row, options)
    _delete_files(older, row, options)
    return entry


def _copy(source: Path, folder: Path) -> Path:
    """Return the path of a safetensors copy in the folder, with every tensor checked."""
    copy = folder / f"{source.stem[:64]}.safetensors"
    if source.suffix.lower() in PICKLED:
        checkpoint = load_checkpoint(source)
        save_checkpoint(checkpoint.network, copy, checkpoint.metadata)
        return copy
    try:
        content = source.read_bytes()
    except OSError as error:
        raise WeightsError(f"{source} cannot be read: {error.strerror}") from error
    with atomic_write(copy, overwrite=True) as partial:
        partial.write_bytes(content)
    try:
        load_checkpoint(copy)
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(copy), str(source))) from error
    return copy


def _delete_files(rows: list[CatalogRow], kept: CatalogRow, options: StoreOptions) -> None:
    for row in rows:
        if row.file != kept.file:
            imported_entry(row, options).path.unlink(missing_ok=True)
