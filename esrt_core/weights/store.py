"""Resolve a model's name, path or address to a verified file, and fetch or verify weights.

Names are looked up among bundled weights, then imported ones, then the cache, then the network.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.address import WeightsUrl, digest_of, is_url, parse_url
from esrt_core.weights.catalog import CatalogRow, Entry, cached_entry
from esrt_core.weights.library import (
    all_entries,
    describe_row,
    file_entry,
    find_entries,
    is_path,
    named_entries,
    save_url_row,
    url_row,
)
from esrt_core.weights.settings import StoreOptions, make_folder, store_options, temporary_folder

DEFAULT_SCALE = 4


@dataclass(frozen=True)
class WeightsFile:
    """Hold a verified weights file; `notes` are sentences for the user."""

    path: Path
    name: str
    kind: str
    scale: int
    sha256: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """Hold the scales that a model has weights for; `notes` are sentences for the user."""

    scales: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """Hold an entry and the problem with its file, "" for none."""

    entry: Entry
    problem: str


def resolve(
    model: str,
    scale: int | None = None,
    progress: ProgressCallback = ignore_progress,
    options: StoreOptions | None = None,
) -> WeightsFile:
    """Return the verified file of a model: a name, a path, or an address with an optional #sha256=...

    Without a scale, a name means its x4 file (the largest scale if there is none) and a file its own scale.

    Raises: WeightsError if there is none for that scale, if it cannot be downloaded, or if its content is wrong.
    """
    options = options or store_options()
    if is_url(model):
        return _check_scale(scale, _from_url(parse_url(model), options, progress))
    if is_path(model):
        return _check_scale(scale, ensure_file(file_entry(Path(model).expanduser()), options))
    entries = named_entries(model, options)
    return ensure_file(_select_scale(entries, model, scale), options, progress)


def find_model(model: str, progress: ProgressCallback = ignore_progress, options: StoreOptions | None = None) -> Model:
    """Return the scales of a model, downloading it only if it is an address.

    Raises: WeightsError as resolve() does.
    """
    options = options or store_options()
    if is_url(model) or is_path(model):
        file = resolve(model, None, progress, options)
        return Model((file.scale,), file.notes)
    return Model(tuple(entry.row.scale for entry in named_entries(model, options)))


def available_scales(model: str) -> tuple[int, ...]:
    """Return the scales that a model has weights for.

    Raises: WeightsError as resolve() does.
    """
    return find_model(model).scales


def fetch_weights(
    model: str, scale: int | None, options: StoreOptions, progress: ProgressCallback = ignore_progress
) -> list[WeightsFile]:
    """Download the files of a name or an address that are missing, at one scale or all; return all of them.

    Raises: WeightsError if one cannot be downloaded.
    """
    if is_url(model):
        return [resolve(model, scale, progress, options)]
    return [ensure_file(entry, options, progress) for entry in find_entries(model, scale, options, refresh=True)]


def verify_weights(model: str | None, scale: int | None, options: StoreOptions) -> list[Verification]:
    """Verify the files of a name, a path or an address, or all files on this machine, against their digests."""
    found = find_entries(model, scale, options) if model else [e for e in all_entries(options) if _is_here(e)]
    return [Verification(entry, find_problem(entry)) for entry in found]


def ensure_file(entry: Entry, options: StoreOptions, progress: ProgressCallback = ignore_progress) -> WeightsFile:
    """Return an entry's file, verified; if it is missing or damaged, download it.

    Raises: WeightsError if it cannot be downloaded.
    """
    notes: tuple[str, ...] = ()
    problem = find_problem(entry)
    if problem:
        if not entry.row.urls:
            raise WeightsError(f"{problem}; {_advice(entry)}")
        if options.offline:
            raise WeightsError(f"{problem}; ESRT_OFFLINE is set, fetch '{entry.row.name}' once while online")
        if entry.present:
            notes = (f"{problem}; downloaded again",)
        from esrt_core.weights.download import fetch  # and with it HTTP and TLS

        make_folder(entry.path.parent)
        with atomic_write(entry.path, overwrite=True) as temporary:
            fetch(entry.row.urls, temporary, entry.row.digest, options.download, progress)
    row = entry.row
    return WeightsFile(entry.path, row.name, row.kind, row.scale, row.sha256, notes)


def find_problem(entry: Entry) -> str:
    """Return the problem with an entry's file, "" if its content has the expected digest."""
    if not entry.present:
        return f"{entry.row.title} is not on this machine (expected at {entry.path})"
    found = digest_of(entry.path)
    if found == entry.row.digest:
        return ""
    return f"{entry.path} is damaged or was changed: expected {entry.row.digest}, found {found}"


def _is_here(entry: Entry) -> bool:
    return entry.present or entry.origin in ("bundled", "imported")


def _advice(entry: Entry) -> str:
    if entry.origin == "bundled":
        return "reinstall esrt"
    if entry.origin == "imported":
        return "import it again with 'esrt models import --overwrite'"
    return "restore the file, or make the index again with 'esrt models index'"


def _select_scale(entries: list[Entry], model: str, scale: int | None) -> Entry:
    by_scale = {entry.row.scale: entry for entry in entries}
    requested = scale or (DEFAULT_SCALE if DEFAULT_SCALE in by_scale else max(by_scale))
    if requested not in by_scale:
        available = ", ".join(f"x{each}" for each in by_scale)
        raise WeightsError(f"no '{model}' weights for x{requested}; available: {available}")
    return by_scale[requested]


def _check_scale(scale: int | None, file: WeightsFile) -> WeightsFile:
    if scale not in (None, file.scale):
        raise WeightsError(f"{file.path} upscales by {file.scale}, not {scale}; omit -s or use other weights")
    return file


def _from_url(url: WeightsUrl, options: StoreOptions, progress: ProgressCallback) -> WeightsFile:
    """Return the file of an address, downloading it at first use."""
    row = url_row(url.address, options)
    if row and url.sha256 in ("", row.sha256):
        return ensure_file(cached_entry(row, "url", options), options, progress)
    if options.offline:
        raise WeightsError(f"{url.address} is not in the cache and ESRT_OFFLINE is set; fetch it once while online")
    row = _download_first(url, options, progress)
    file = ensure_file(cached_entry(row, "url", options), options)
    if url.sha256:
        return file
    note = f"first use of {url.address}: its sha256 {row.sha256} is recorded and will be checked from now on"
    return dataclasses.replace(file, notes=(note,))


def _download_first(url: WeightsUrl, options: StoreOptions, progress: ProgressCallback) -> CatalogRow:
    """Download an address to the cache, check that it is ESRT, and record its hash."""
    from esrt_core.weights.download import fetch

    folder = make_folder(options.cache / "weights")
    with temporary_folder(folder) as temporary:
        path = temporary / url.file
        with atomic_write(path, overwrite=True) as partial:
            found = fetch([url.address], partial, None, options.download, progress)
        if url.sha256 and found.sha256 != url.sha256:
            raise WeightsError(
                f"{url.address} sent {found}, expected sha256 {url.sha256}; nothing was kept, ask its owner"
            )
        try:
            row = dataclasses.replace(describe_row(path), urls=(url.address,))
        except WeightsError as error:
            raise WeightsError(f"{url.address} cannot be used: {str(error).replace(str(path), url.file)}") from error
        path.replace(cached_entry(row, "url", options).path)
    save_url_row(url.address, row, options)
    return row
