"""What weights there are: rows of data, bundled with the program or read from an index file.

An index is a JSON object {"esrt_index": 1, "weights": [row, ...]}; the fields of a row are those of CatalogRow. `urls`
are tried in order and may be relative to the index; without any, `file` lies beside the index.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esrt_core.errors import WeightsError
from esrt_core.weights.digest import Digest

INDEX_VERSION = 1
BUNDLED = Path(__file__).parent / "bundled"
INDEX_NAME = "index.json"
KEPT_NAMES = ("auto", "clean", "drawing", "photo")  # the bundled kinds

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILE = re.compile(r"[^./\\:\x00-\x1f][^/\\:\x00-\x1f]{0,199}")  # no folders, nothing hidden
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CatalogRow:
    """Describe one weights file: `name` and `scale` are its key, `psnr` maps a test set to dB on Y.

    Raises WeightsError for values that cannot be.
    """

    name: str
    scale: int
    kind: str
    file: str
    bytes: int
    sha256: str
    urls: tuple[str, ...] = ()
    licence: str = ""
    training_data: str = ""
    psnr: Mapping[str, float] = field(default_factory=dict)
    card: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.scale not in (2, 3, 4):
            raise WeightsError(f"weights '{self.name}' have scale {self.scale}, expected 2, 3 or 4")
        if not _FILE.fullmatch(self.file):
            raise WeightsError(
                f"weights '{self.name}' x{self.scale} name the file {self.file!r}, not a plain file name"
            )
        if not _SHA256.fullmatch(self.sha256) or self.bytes <= 0:
            raise WeightsError(f"weights '{self.title}' need a size above 0 and a sha256 of 64 lower-case hex digits")

    @property
    def title(self) -> str:
        """Return what people call the file: name and scale."""
        return f"{self.name} x{self.scale}"

    @property
    def digest(self) -> Digest:
        """Return what the file's content has to be."""
        return Digest(self.bytes, self.sha256)


def check_name(name: str) -> None:
    """Raise WeightsError unless the name can be used with --model."""
    if not _NAME.fullmatch(name):
        raise WeightsError(
            f"{name!r} cannot name weights; expected up to 64 letters, digits, dots, dashes, underscores"
        )


def bundled_rows() -> tuple[CatalogRow, ...]:
    """Return the rows of the weights that are part of the program."""
    return read_rows(BUNDLED / INDEX_NAME)


def read_rows(path: Path) -> tuple[CatalogRow, ...]:
    """Return the rows of an index file. Raises WeightsError, naming the file, when it is not one."""
    try:
        return parse_rows(path.read_bytes(), str(path))
    except OSError as error:
        raise WeightsError(f"index {path} cannot be read: {error.strerror}; expected a JSON file") from error


def parse_rows(content: bytes, source: str) -> tuple[CatalogRow, ...]:
    """Return the rows of an index; `source` names it in a WeightsError."""
    try:
        index = json.loads(content)
    except ValueError as error:
        raise WeightsError(f"index {source} is not JSON ({error}); make one with 'esrt models index'") from error
    if not isinstance(index, dict) or "esrt_index" not in index or not isinstance(index.get("weights"), list):
        raise WeightsError(f"{source} is not an index of weights; make one with 'esrt models index'")
    if index["esrt_index"] != INDEX_VERSION:
        raise WeightsError(f"index {source} has version {index['esrt_index']}, this program knows {INDEX_VERSION}")
    rows = tuple(_row(entry, number, source) for number, entry in enumerate(index["weights"], 1))
    keys = [(row.name, row.scale) for row in rows]
    twice = next((row.title for row in rows if keys.count((row.name, row.scale)) > 1), None)
    if twice:
        raise WeightsError(f"index {source} has more than one row for {twice}; expected one")
    return rows


def dump_rows(rows: Iterable[CatalogRow]) -> str:
    """Return the text of an index with these rows, in order of name and scale."""
    ordered = sorted(rows, key=lambda row: (row.name, row.scale))
    index = {"esrt_index": INDEX_VERSION, "weights": [dataclasses.asdict(row) for row in ordered]}
    return json.dumps(index, indent=2, ensure_ascii=False) + "\n"


def _row(entry: Any, number: int, source: str) -> CatalogRow:
    """Make a row of one entry of an index; keys that this version does not know are passed over."""
    try:
        return CatalogRow(
            name=str(entry["name"]),
            scale=int(entry["scale"]),
            kind=str(entry["kind"]),
            file=str(entry["file"]),
            bytes=int(entry["bytes"]),
            sha256=str(entry["sha256"]),
            urls=tuple(str(url) for url in entry.get("urls", ())),
            licence=str(entry.get("licence", "")),
            training_data=str(entry.get("training_data", "")),
            psnr={str(name): float(value) for name, value in entry.get("psnr", {}).items()},
            card=str(entry.get("card", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"row {number} of index {source} cannot be used: it {problem}") from error
    except WeightsError as error:
        raise WeightsError(f"row {number} of index {source} cannot be used: {error}") from error
