"""From what a user calls a model to a verified file: bundled, then imported, then the cache, then the network.

Bring weights onto this machine, and look whether those that are here are whole.
"""

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import WeightsError
from esrt_core.files import atomic_write
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.catalog import CatalogRow, Entry, cached_entry
from esrt_core.weights.download import WeightsUrl, digest_of, fetch, is_url, parse_url
from esrt_core.weights.library import (
    all_entries,
    describe_row,
    file_entry,
    find_entries,
    is_path,
    keep_url,
    named_entries,
    url_row,
)
from esrt_core.weights.settings import StoreOptions, make_folder, store_options

DEFAULT_SCALE = 4


@dataclass(frozen=True)
class WeightsFile:
    """Hold a file whose content was verified, and what it is; `notes` are for the user."""

    path: Path
    name: str
    kind: str
    scale: int
    sha256: str
    notes: tuple[str, ...] = ()


def resolve(
    model: str,
    scale: int | None = None,
    progress: ProgressCallback = ignore_progress,
    options: StoreOptions | None = None,
) -> WeightsFile:
    """Return the verified file that `model` means: a name, a path, or an address, perhaps with #sha256=...

    Without a scale a name means its x4 file (its largest, where there is none), a file what it is made for. Raises
    WeightsError when there is none for that scale, when it cannot be had, or when its content is not what it should be.
    """
    options = options or store_options()
    if is_url(model):
        return _only_at(scale, _from_url(parse_url(model), options, progress))
    if is_path(model):
        return _only_at(scale, ready(file_entry(Path(model).expanduser()), options))
    entries = named_entries(model, options)
    return ready(_of_scale(entries, model, scale), options, progress)


@dataclass(frozen=True)
class Model:
    """Hold the scales at which a model can work in one pass, and what the user should know of finding it."""

    scales: tuple[int, ...]
    notes: tuple[str, ...] = ()


def find_model(model: str, progress: ProgressCallback = ignore_progress, options: StoreOptions | None = None) -> Model:
    """Return what `model` can do; only an address is downloaded for that. Raises what resolve() raises."""
    options = options or store_options()
    if is_url(model) or is_path(model):
        file = resolve(model, None, progress, options)
        return Model((file.scale,), file.notes)
    return Model(tuple(entry.row.scale for entry in named_entries(model, options)))


def available_scales(model: str) -> tuple[int, ...]:
    """Return the scales at which `model` can work in one pass. Raises what resolve() raises."""
    return find_model(model).scales


def ready(entry: Entry, options: StoreOptions, progress: ProgressCallback = ignore_progress) -> WeightsFile:
    """Return an entry's file, verified; one that is missing or damaged in the cache is downloaded."""
    notes: tuple[str, ...] = ()
    problem = problem_with(entry)
    if problem:
        if not entry.row.urls:
            raise WeightsError(f"{problem}; {_way_out(entry)}")
        if options.offline:
            raise WeightsError(f"{problem}; ESRT_OFFLINE is set, fetch '{entry.row.name}' once while online")
        if entry.present:
            notes = (f"{problem}; it was downloaded again",)
        make_folder(entry.path.parent)
        with atomic_write(entry.path, overwrite=True) as temporary:
            fetch(entry.row.urls, temporary, entry.row.digest, options.download, progress)
    row = entry.row
    return WeightsFile(entry.path, row.name, row.kind, row.scale, row.sha256, notes)


def problem_with(entry: Entry) -> str:
    """Return what is wrong with an entry's file, "" when its content is what it should be."""
    if not entry.present:
        return f"{entry.row.title} is not on this machine (it would be {entry.path})"
    found = digest_of(entry.path)
    if found == entry.row.digest:
        return ""
    return f"{entry.path} is damaged or was changed: expected {entry.row.digest}, found {found}"


def _way_out(entry: Entry) -> str:
    if entry.origin == "bundled":
        return "install esrt again"
    if entry.origin == "imported":
        return "import it again with 'esrt models import --overwrite'"
    return "bring the file back, or make the index again with 'esrt models index'"


def _of_scale(entries: list[Entry], model: str, scale: int | None) -> Entry:
    by_scale = {entry.row.scale: entry for entry in entries}
    wanted = scale or (DEFAULT_SCALE if DEFAULT_SCALE in by_scale else max(by_scale))
    if wanted not in by_scale:
        there = ", ".join(f"x{each}" for each in by_scale)
        raise WeightsError(f"there are no '{model}' weights for x{wanted}; expected {there}")
    return by_scale[wanted]


def _only_at(scale: int | None, file: WeightsFile) -> WeightsFile:
    if scale not in (None, file.scale):
        raise WeightsError(f"{file.path} enlarges by {file.scale}, not by {scale}; leave out -s or give other weights")
    return file


def _from_url(url: WeightsUrl, options: StoreOptions, progress: ProgressCallback) -> WeightsFile:
    """Return what an address delivered before, or use it for the first time."""
    row = url_row(url.address, options)
    if row and url.sha256 in ("", row.sha256):
        return ready(cached_entry(row, "url", options), options, progress)
    if options.offline:
        raise WeightsError(f"{url.address} is not in the cache and ESRT_OFFLINE is set; use it once while online")
    row = _first_use(url, options, progress)
    file = ready(cached_entry(row, "url", options), options)
    if url.sha256:
        return file
    note = f"{url.address} is used for the first time: its sha256 {row.sha256} is recorded, and checked from now on"
    return dataclasses.replace(file, notes=(note,))


def _first_use(url: WeightsUrl, options: StoreOptions, progress: ProgressCallback) -> CatalogRow:
    """Download an address to the cache, prove that it is ESRT, and record its hash."""
    folder = make_folder(options.cache / "weights")
    with tempfile.TemporaryDirectory(prefix=".esrt-tmp-", dir=folder) as temporary:
        path = Path(temporary) / url.file
        with atomic_write(path, overwrite=True) as partial:
            found = fetch([url.address], partial, None, options.download, progress)
        if url.sha256 and found.sha256 != url.sha256:
            raise WeightsError(
                f"{url.address} sent {found}, expected sha256 {url.sha256}; nothing was kept, ask its owner"
            )
        try:
            row = dataclasses.replace(describe_row(path), urls=(url.address,))
        except WeightsError as error:
            raise WeightsError(f"{url.address} is of no use: {str(error).replace(str(path), url.file)}") from error
        path.replace(cached_entry(row, "url", options).path)
    keep_url(url.address, row, options)
    return row


def fetch_weights(
    model: str, scale: int | None, options: StoreOptions, progress: ProgressCallback = ignore_progress
) -> list[WeightsFile]:
    """Download what a name or an address means, at one scale or at all of them, unless it is here already.

    Raises WeightsError when it cannot be had.
    """
    if is_url(model):
        return [resolve(model, scale, progress, options)]
    return [ready(entry, options, progress) for entry in find_entries(model, scale, options, refresh=True)]


@dataclass(frozen=True)
class Checked:
    """Hold an entry and what is wrong with its file, "" for nothing."""

    entry: Entry
    problem: str


def verify_weights(model: str | None, scale: int | None, options: StoreOptions) -> list[Checked]:
    """Compare the content of what a name, path or address means, or of all that is here, with what it should be."""
    found = find_entries(model, scale, options) if model else [e for e in all_entries(options) if _is_here(e)]
    return [Checked(entry, problem_with(entry)) for entry in found]


def _is_here(entry: Entry) -> bool:
    return entry.present or entry.origin in ("bundled", "imported")
