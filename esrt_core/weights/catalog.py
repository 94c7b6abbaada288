"""The catalog of weights: rows that are bundled with the program or read from an index, and the paths of their files.

An index is a JSON object {"esrt_index": 1, "weights": [row, ...]}; the fields of a row are those of CatalogRow. `urls`
are tried in order and may be relative to the index; without any, `file` is in the index's folder.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from esrt_core.architecture import SCALES, scales_text
from esrt_core.decoding import DecodeError, decode_json, decode_value
from esrt_core.errors import WeightsError
from esrt_core.files import display_text
from esrt_core.weights.address import Digest
from esrt_core.weights.header import MAX_BYTES
from esrt_core.weights.settings import StoreOptions

INDEX_VERSION = 1
MAX_INDEX_BYTES = 4 * 2**20  # some ten thousand rows
BUNDLED = Path(__file__).parent / "bundled"
INDEX_NAME = "index.json"
RESERVED_NAMES = ("auto", "clean", "drawing", "photo")  # the bundled kinds

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILE = re.compile(r"[^./\\:\x00-\x1f][^/\\:\x00-\x1f]{0,199}")  # no folders, nothing hidden
_SHA256 = re.compile(r"[0-9a-f]{64}")

Origin = Literal["bundled", "imported", "url", "index", "file"]


@dataclass(frozen=True)
class CatalogRow:
    """Describe one weights file: `name` and `scale` are its key, `psnr` maps a test set to dB on Y.

    Raises: WeightsError if a value is invalid.
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
        if self.scale not in SCALES:
            raise WeightsError(f"weights '{self.name}' have scale {self.scale}, expected {scales_text()}")
        if not _FILE.fullmatch(self.file):
            raise WeightsError(
                f"weights '{self.name}' x{self.scale} refer to {self.file!r}, which is not a plain file name"
            )
        if not _SHA256.fullmatch(self.sha256) or self.bytes <= 0:
            raise WeightsError(f"weights '{self.title}' need a size above 0 and a sha256 of 64 lowercase hex digits")
        if self.bytes > MAX_BYTES:
            raise WeightsError(
                f"weights '{self.title}' have {self.bytes:,} bytes; weights may have up to {MAX_BYTES:,}"
            )

    @property
    def title(self) -> str:
        """Return the display name: name and scale."""
        return f"{self.name} x{self.scale}"

    @property
    def digest(self) -> Digest:
        """Return the expected digest of the file."""
        return Digest(self.bytes, self.sha256)


@dataclass(frozen=True)
class Entry:
    """Hold a row, its origin, and the path of its file, which need not exist yet."""

    row: CatalogRow
    origin: Origin
    path: Path

    @property
    def present(self) -> bool:
        """Return whether the file is on this machine."""
        try:
            return self.path.is_file()
        except OSError:  # a name that is too long, or a folder that may not be read
            return False


@dataclass(frozen=True)
class _Index:
    esrt_index: Any
    weights: list[Any]


def check_name(name: str) -> None:
    """Check that a name can be used with --model.

    Raises: WeightsError if it cannot.
    """
    if not _NAME.fullmatch(name):
        raise WeightsError(
            f"{name!r} is not a valid name for weights; use up to 64 letters, digits, dots, dashes and underscores"
        )


def bundled_rows() -> tuple[CatalogRow, ...]:
    """Return the rows of the weights that are bundled with the program."""
    return read_rows(BUNDLED / INDEX_NAME)


def read_rows(path: Path) -> tuple[CatalogRow, ...]:
    """Return the rows of an index file.

    Raises: WeightsError, naming the file, if it cannot be read or is not an index.
    """
    try:
        if path.stat().st_size > MAX_INDEX_BYTES or not path.is_file():  # nor a pipe, which may never end
            raise WeightsError(f"index {path} is not a file of up to {MAX_INDEX_BYTES:,} bytes; expected a JSON file")
        return parse_rows(path.read_bytes(), str(path))
    except OSError as error:
        raise WeightsError(f"index {path} cannot be read: {error.strerror}; expected a JSON file") from error


def parse_rows(content: bytes, source: str) -> tuple[CatalogRow, ...]:
    """Return the rows of an index, called `source` in messages.

    Raises: WeightsError if it is not an index of this version, or a row is invalid or duplicate.
    """
    try:
        index = decode_json(content, _Index)
    except DecodeError as error:
        raise WeightsError(
            f"{source} is not an index of weights ({error}); make one with 'esrt models index'"
        ) from error
    if index.esrt_index != INDEX_VERSION:
        version = display_text(str(index.esrt_index)[:20])
        raise WeightsError(f"index {source} has version {version}, this program supports {INDEX_VERSION}")
    rows = tuple(_row(entry, number, source) for number, entry in enumerate(index.weights, 1))
    keys = [(row.name, row.scale) for row in rows]
    duplicate = next((row.title for row in rows if keys.count((row.name, row.scale)) > 1), None)
    if duplicate:
        raise WeightsError(f"index {source} has more than one row for {duplicate}; expected one")
    return rows


def dump_rows(rows: Iterable[CatalogRow]) -> bytes:
    """Return the content of an index with these rows, sorted by name and scale."""
    ordered = sorted(rows, key=lambda row: (row.name, row.scale))
    index = {"esrt_index": INDEX_VERSION, "weights": [dataclasses.asdict(row) for row in ordered]}
    text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # in a file name that is not UTF-8; JSON's own escape


def bundled_entry(row: CatalogRow) -> Entry:
    """Return the entry of a bundled file."""
    return Entry(row, "bundled", BUNDLED / row.file)


def imported_entry(row: CatalogRow, options: StoreOptions) -> Entry:
    """Return the entry of an imported file."""
    return Entry(row, "imported", imported_folder(options) / row.file)


def cached_entry(row: CatalogRow, origin: Origin, options: StoreOptions) -> Entry:
    """Return the entry of a downloaded file; the file name contains the hash, so that versions never mix."""
    return Entry(row, origin, options.cache / "weights" / f"{row.sha256[:16]}-{row.file}")


def imported_folder(options: StoreOptions) -> Path:
    """Return the folder of imported weights and their rows."""
    return options.data / "weights"


def _row(entry: Any, number: int, source: str) -> CatalogRow:
    """Make a row from one entry of an index, ignoring unknown keys."""
    try:
        return decode_value(entry, CatalogRow)
    except (DecodeError, WeightsError) as error:
        raise WeightsError(f"row {number} of index {source} is invalid: {error}") from error
