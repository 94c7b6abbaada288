"""Make an index of a folder of weights, so that anyone can host them."""

import re
from pathlib import Path
from urllib.parse import quote

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.weights.catalog import INDEX_NAME, CatalogRow, dump_rows
from esrt_core.weights.describe import describe_file
from esrt_core.weights.digest import digest_of


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
