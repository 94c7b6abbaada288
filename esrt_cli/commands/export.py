"""`esrt export`: write the network for other programs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esrt_cli import params
from esrt_cli.console import Console
from esrt_cli.figures import counted

if TYPE_CHECKING:
    from esrt_core.export.export import Exported

OutputOpt = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write: .onnx, .pt2, .safetensors or .pth.")
]
ScaleOpt = Annotated[
    int | None, typer.Option("-s", "--scale", metavar="2|3|4", help="Factor. Default 4, or that of a --model FILE.")
]
FormatOpt = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="onnx, pt2, safetensors or authors. Default: by -o."),
]
TileOpt = Annotated[
    int | None,
    typer.Option(metavar="PX", help="Accept only inputs of this side, with attention windows. Default: any size."),
]


def export(
    output: OutputOpt,
    scale: ScaleOpt = None,
    model: params.ModelOpt = "auto",
    format_: FormatOpt = None,
    tile: TileOpt = None,
    overwrite: params.OverwriteOpt = False,
    json: params.JsonOpt = False,
    progress: params.ProgressOpt = "bar",
    quiet: params.QuietOpt = False,
    verbose: params.VerboseOpt = False,
) -> None:
    """Write the network for other programs.

    onnx and pt2 (torch.export) are programs that run without esrt: float32 RGB from 0 to 1 in NCHW order in, the same
    out, not clamped, and without the color correction that esrt itself adds. They are run and compared with the network
    before they are put in place, which takes a minute. safetensors and authors (a .pth file for the authors' code)
    contain only the weights.

    The memory for attention over a whole picture grows with the square of its pixels: onnxruntime needs 1.3 GB for
    128 x 128 px, 6 GB for 192 x 192. For larger pictures export a --tile (240: 2.7 GB) and let tiles overlap.

    \b
    Examples:
      esrt export -s 4 -o esrt_x4.onnx
      esrt export -s 2 -o esrt_x2.pt2 --tile 240
      esrt export -s 3 --format authors -o ESRT_x3.pth
    """
    console = Console(quiet, verbose, events=progress == "json")
    console.start("loading the network ...")
    from json import dumps as as_json

    from esrt_cli.progress import progress_bar
    from esrt_core.export.options import ExportOptions

    options = ExportOptions(output, format_, model, scale, tile, overwrite)  # refuses before torch is imported
    from esrt_core.export.export import export_network

    with progress_bar(console) as show:
        exported = export_network(options, show)
    console.event("result", **dataclasses.asdict(exported))
    for note in exported.notes:
        console.note(f"note: {note}")
    console.detail(f"weights: {exported.weights}, sha256 {exported.sha256}")
    for batch, height, width in exported.shapes:
        console.detail(f"run at {counted(batch, 'pictures')} of {width} x {height} px")
    if json:
        console.record(as_json({"ok": True, **dataclasses.asdict(exported)}))
    else:
        console.result(exported_line(exported))


def exported_line(exported: Exported) -> str:
    """Return in one line what was written and how it was checked."""
    what = f"{exported.target}: {exported.model} x{exported.scale} as {exported.format}, {exported.bytes / 1e6:.1f} MB"
    if not exported.shapes:
        return f"{what}, verified by reading it back"
    size = f"{exported.tile} x {exported.tile} px" if exported.tile else "any size"
    shapes = f"{len(exported.shapes)} shape{'s' if len(exported.shapes) > 1 else ''}"
    differs = f"at most {exported.difference:.0e} from" if exported.difference else "equal to"
    return f"{what}, {size}, run at {shapes}: {differs} the network"
