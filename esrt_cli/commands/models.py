"""`esrt models`: list, fetch, verify, import, remove and index weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esrt_cli import params
from esrt_cli.console import Console
from esrt_cli.figures import size
from esrt_cli.help import Command, Group
from esrt_cli.report import verification_json, weights_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esrt_core.weights.catalog import Entry
    from esrt_core.weights.header import CheckpointMetadata
    from esrt_core.weights.settings import StoreOptions

ModelArg = Annotated[str, typer.Argument(metavar="NAME|FILE|URL", help="A name, a file, or an https:// address.")]
AnyModelArg = Annotated[str | None, typer.Argument(metavar="NAME|FILE|URL", help="Default: all on this machine.")]
ScaleOpt = Annotated[int | None, typer.Option("-s", "--scale", metavar="2|3|4", help="One scale. Default: all.")]
IndexOpt = Annotated[
    str | None,
    typer.Option(metavar="URL|FILE", envvar="ESRT_INDEX", help="An index with more weights."),
]
AllowHttpOpt = Annotated[bool, typer.Option("--allow-http", help="Also download without encryption.")]
models = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""List, fetch, verify, import, remove and index weights.

    \b
    Examples:
      esrt models list
      esrt models import trained.safetensors --name mine
      esrt upscale photo.jpg --model mine
    """,
)


@models.command("list", cls=Command)
def list_(index: IndexOpt = None, json: params.JsonOpt = False) -> None:
    """List the available weights.

    Use their names with --model. Addresses that were used are listed too.

    \b
    Examples:
      esrt models list
      esrt models list --index https://example.com/weights/index.json
    """
    _start("reading the list of weights ...")
    from esrt_core.weights.library import all_entries

    entries = all_entries(_options(index), refresh=True)
    _print(json, [weights_json(entry) for entry in entries], table(entries))


@models.command(cls=Command)
def info(model: ModelArg, scale: ScaleOpt = None, index: IndexOpt = None, json: params.JsonOpt = False) -> None:
    """Show the data, licence, PSNR and hash of weights.

    \b
    Examples:
      esrt models info clean -s 4
      esrt models info trained.safetensors --json
    """
    _start(f"looking for {model} ...")
    from esrt_core.weights.library import describe_file, find_entries

    records, lines = [], []
    for entry in find_entries(model, scale, _options(index)):
        metadata = describe_file(entry.path) if entry.present else None
        records.append(weights_json(entry, metadata))
        lines += details(entry, metadata)
    _print(json, records, lines)


@models.command(cls=Command)
def fetch(
    model: Annotated[str, typer.Argument(metavar="NAME|URL", help="A name of the index, or an https:// address.")],
    scale: ScaleOpt = None,
    index: IndexOpt = None,
    allow_http: AllowHttpOpt = False,
    json: params.JsonOpt = False,
) -> None:
    """Download weights into the cache.

    They can then be used offline. An address may end in #sha256=... to name the expected content; otherwise its hash is
    recorded now and checked from then on.

    \b
    Examples:
      esrt models fetch https://example.com/mine_x4.safetensors
      esrt models fetch mine --index https://example.com/weights/index.json
    """
    console = _start(f"looking for {model} ...")
    from esrt_cli.progress import progress_bar
    from esrt_core.weights.store import fetch_weights

    with progress_bar(console) as progress:
        files = fetch_weights(model, scale, _options(index, allow_http), progress)
    for file in files:
        for note in file.notes:
            console.note(note)
    records = [{"name": f.name, "scale": f.scale, "path": str(f.path), "sha256": f.sha256} for f in files]
    _print(json, records, [f"{file.name} x{file.scale}: {file.path}" for file in files])


@models.command(cls=Command)
def verify(
    model: AnyModelArg = None, scale: ScaleOpt = None, index: IndexOpt = None, json: params.JsonOpt = False
) -> int:
    """Check the size and sha256 of weights.

    \b
    Examples:
      esrt models verify
      esrt models verify mine -s 2
    """
    console = _start(f"checking {model or 'all weights'} ...")
    from esrt_core.weights.store import verify_weights

    results = verify_weights(model, scale, _options(index))
    _print(
        json,
        [verification_json(each) for each in results],
        [f"{each.entry.row.title}: ok, {each.entry.path}" for each in results if not each.problem],
    )
    problems = [each.problem for each in results if each.problem]
    for problem in problems:
        console.error(problem)
    return 1 if problems else 0


@models.command("import", cls=Command)
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors, .pth or .pt file.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Name to use with --model. Default: the file's name.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace weights of that name and scale.")] = False,
    json: params.JsonOpt = False,
) -> None:
    """Import a file into your library under a name.

    \b
    Examples:
      esrt models import trained.safetensors --name mine
      esrt models import ESRT_x4.pth --name authors
    """
    _start(f"reading {file} ...")
    from esrt_core.weights.importing import import_weights
    from esrt_core.weights.library import name_from_file

    entry = import_weights(file, name or name_from_file(file), overwrite, _options())
    _print(json, [weights_json(entry)], [f"{entry.row.title}: use it with --model {entry.row.name}"])


@models.command(cls=Command)
def remove(model: ModelArg, scale: ScaleOpt = None, index: IndexOpt = None, json: params.JsonOpt = False) -> None:
    """Delete imported or downloaded weights.

    \b
    Examples:
      esrt models remove mine
      esrt models remove https://example.com/mine_x4.safetensors
    """
    from esrt_core.weights.library import remove_weights

    removed = remove_weights(model, scale, _options(index))
    _print(json, [weights_json(entry) for entry in removed], [f"removed {e.row.title}: {e.path}" for e in removed])


@models.command(cls=Command)
def path(
    model: Annotated[str | None, typer.Argument(metavar="NAME|FILE|URL", help="Default: the folders.")] = None,
    scale: ScaleOpt = None,
    index: IndexOpt = None,
    json: params.JsonOpt = False,
) -> None:
    """Print where weights are kept.

    \b
    Examples:
      esrt models path
      esrt models path clean -s 4
    """
    from esrt_core.weights.library import find_entries

    options = _options(index)
    if model is None:
        folders: dict[str, object] = {"cache": str(options.cache), "data": str(options.data)}
        _print(json, [folders], [f"{name}: {folder}" for name, folder in folders.items()])
        return
    entries = find_entries(model, scale, options)
    _print(json, [weights_json(entry) for entry in entries], [str(entry.path) for entry in entries])


@models.command(cls=Command)
def index(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of .safetensors files.")],
    base_url: Annotated[str, typer.Option(metavar="URL", help="Address of the files. Default: beside the index.")] = "",
    json: params.JsonOpt = False,
) -> None:
    """Write DIR/index.json, so that the folder can be hosted.

    mine_x4.safetensors becomes the row mine, x4. Upload the folder and use the address of index.json with --index.

    \b
    Examples:
      esrt models index my-weights
      esrt models index my-weights --base-url https://example.com/weights
    """
    _start(f"reading {folder} ...")
    from esrt_core.weights.catalog import INDEX_NAME, Entry
    from esrt_core.weights.library import make_index

    entries = [Entry(row, "file", folder / row.file) for row in make_index(folder, base_url)]
    _print(json, [weights_json(entry) for entry in entries], [f"{folder / INDEX_NAME}:", *table(entries)])


TEST_SETS = ("Set5", "Set14", "BSD100", "Urban100", "Manga109")  # everybody's pictures are the same


def table(entries: Sequence[Entry]) -> list[str]:
    """Return a line of titles and one line per entry, in columns.

    A column of PSNR belongs to one test set: figures of other pictures, such as those held out in a training, are shown
    by `esrt models info` alone.
    """
    from esrt_core.weights.library import is_hidden

    sets = [name for name in TEST_SETS if any(name in entry.row.psnr for entry in entries)]
    titles = ("name", "scale", "kind", "size", *(f"{name} dB" for name in sets), "where")
    rows: list[tuple[str, ...]] = [titles, *(_cells(entry, sets, is_hidden(entry, entries)) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def details(entry: Entry, metadata: CheckpointMetadata | None) -> list[str]:
    """Return all facts about an entry, one per line; `metadata` is None if the file is not on this machine."""
    row = entry.row
    facts = [
        ("kind", row.kind),
        ("file", f"{entry.path} ({where(entry)})"),
        ("size", f"{row.bytes:,} bytes"),
        ("sha256", row.sha256),
        ("urls", " ".join(row.urls)),
        ("licence", row.licence),
        ("trained on", row.training_data),
        ("training", _training(metadata)),
        ("network", f"{metadata.channels} channels, {metadata.blocks} blocks" if metadata else ""),
        ("PSNR", _psnr(entry)),
        ("card", row.card),
    ]
    return [row.title, *(f"  {name}: {value}" for name, value in facts if value)]


def where(entry: Entry) -> str:
    """Return in a few words where an entry's file is."""
    if entry.origin in ("bundled", "imported"):
        return entry.origin if entry.present else f"{entry.origin}, missing"
    if entry.origin == "file" or (entry.origin == "index" and not entry.row.urls):
        return "file"
    state = "cached" if entry.present else "not downloaded"
    return f"{state}, {entry.row.urls[0]}" if entry.origin == "url" else state


def as_json(records: Sequence[object]) -> str:
    """Return the text of a JSON array."""
    return json.dumps(list(records), indent=2)


def _cells(entry: Entry, sets: Sequence[str], hidden: bool) -> tuple[str, ...]:
    row = entry.row
    figures = (f"{row.psnr[name]:.2f}" if name in row.psnr else "" for name in sets)
    place = f"{where(entry)}; hidden by the imported one" if hidden else where(entry)
    return (row.name, f"x{row.scale}", row.kind, size(row.bytes), *figures, place)


def _psnr(entry: Entry) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in entry.row.psnr.items())


def _training(metadata: CheckpointMetadata | None) -> str:
    return ", ".join(f"{key} {value}" for key, value in metadata.training.items()) if metadata else ""


def _options(index: str | None = None, allow_http: bool = False) -> StoreOptions:
    """Return the options of the library, with those of the command line."""

    from esrt_core.weights.settings import store_options

    options = store_options()
    download = dataclasses.replace(options.download, allow_http=allow_http)
    return dataclasses.replace(options, index=index or "", download=download)


def _start(text: str) -> Console:
    console = Console()
    console.start(text)
    return console


def _print(json: bool, records: list[dict[str, object]], lines: list[str]) -> None:
    console = Console()
    if json:
        console.record(as_json(records))
        return
    for line in lines:
        console.result(line)
