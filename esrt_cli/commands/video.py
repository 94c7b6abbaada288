"""`esrt video`: clips that keep their sound, timing and colours."""

from decimal import Decimal
from typing import Annotated

import typer

from esrt_cli import params
from esrt_cli.console import Console
from esrt_cli.upscaling import size_request
from esrt_cli.videos import upscale_clips

InputsArg = Annotated[list[str], typer.Argument(metavar="IN", help="Clips, or folders of them.")]
ScaleOpt = Annotated[
    Decimal | None,
    typer.Option(
        "-s", "--scale", parser=params.parse_number, metavar="NUMBER", help="Factor of the sides, above 1. Default 2."
    ),
]
OutputOpt = Annotated[
    str | None, typer.Option("-o", "--output", metavar="FILE|DIR/", help="A file, or a folder (with a slash).")
]
CodecOpt = Annotated[
    str | None, typer.Option(metavar="NAME", help="h264 (default; vp9 in WebM), hevc, av1, vp9, prores or ffv1.")
]
EncoderOpt = Annotated[str, typer.Option(metavar="NAME", help="auto, software, nvenc, qsv or videotoolbox.")]
CrfOpt = Annotated[int | None, typer.Option(metavar="N", help="Quality, lower is better. Default: no visible loss.")]
PresetOpt = Annotated[str | None, typer.Option(metavar="NAME", help="The encoder's speed: medium, slow, 6 ...")]
PixelsOpt = Annotated[
    str | None, typer.Option("--pix-fmt", metavar="NAME", help="Pixel format. Default: nearest to the clip's.")
]
DeinterlaceOpt = Annotated[bool, typer.Option("--deinterlace", help="Make whole frames of interlaced ones first.")]
VfrOpt = Annotated[str, typer.Option(metavar="NAME", help="Variable frame rate: constant (repeats frames) or keep.")]
TimeOpt = str | None
StartOpt = Annotated[TimeOpt, typer.Option(metavar="TIME", help="Begin here: 90, 1:30 or 0:01:30.5.")]
EndOpt = Annotated[TimeOpt, typer.Option(metavar="TIME", help="End here.")]
SegmentOpt = Annotated[str, typer.Option(metavar="TIME", help="Length of a segment, the most that a crash costs.")]
PreviewOpt = Annotated[bool, typer.Option("--preview", help="Make a few seconds, source and result side by side.")]
RestartOpt = Annotated[bool, typer.Option("--restart", help="Throw away unfinished work and begin anew.")]
DropOpt = Annotated[bool, typer.Option("--drop-streams", help="Leave out streams that the container cannot hold.")]


def video(
    inputs: InputsArg,
    scale: ScaleOpt = None,
    width: params.WidthOpt = None,
    height: params.HeightOpt = None,
    longest: params.LongestOpt = None,
    output: OutputOpt = None,
    model: params.ModelOpt = "auto",
    device: params.DeviceOpt = "auto",
    threads: params.ThreadsOpt = None,
    tile: params.TileOpt = None,
    precision: params.PrecisionOpt = "auto",
    codec: CodecOpt = None,
    encoder: EncoderOpt = "auto",
    crf: CrfOpt = None,
    preset: PresetOpt = None,
    pixels: PixelsOpt = None,
    deinterlace: DeinterlaceOpt = False,
    vfr: VfrOpt = "constant",
    start: StartOpt = None,
    end: EndOpt = None,
    segment: SegmentOpt = "10s",
    preview: PreviewOpt = False,
    restart: RestartOpt = False,
    drop_streams: DropOpt = False,
    overwrite: params.OverwriteOpt = False,
    json: params.JsonOpt = False,
    quiet: params.QuietOpt = False,
    dry_run: params.DryRunOpt = False,
) -> int:
    """Upscale clips: sound, subtitles, chapters, timing and colours stay.

    Without -o the result goes beside the clip: clip.mp4 becomes clip_x2.mp4. After Ctrl-C, a crash or a power cut the
    same command goes on where it stopped.

    \b
    Examples:
      esrt video clip.mp4
      esrt video clip.mp4 --preview
      esrt video old.avi --height 1080 --deinterlace -o old.mkv
      esrt video episodes/ -o large/ --codec hevc
    """
    from esrt_core.engine.options import EngineOptions
    from esrt_core.pipeline.clock import parse_seconds
    from esrt_core.pipeline.video_options import VideoOptions

    options = VideoOptions(
        size=size_request(scale, width, height, longest, None),
        output=output,
        model=model,
        engine=EngineOptions(device, threads, precision, tile),
        codec=codec,
        encoder=encoder,
        crf=crf,
        preset=preset,
        pixels=pixels,
        deinterlace=deinterlace,
        vfr=vfr,
        start=None if start is None else parse_seconds(start, "--start"),
        end=None if end is None else parse_seconds(end, "--end"),
        segment=parse_seconds(segment, "--segment"),
        preview=preview,
        overwrite=overwrite,
        restart=restart,
        drop=drop_streams,
    )
    return upscale_clips(inputs, options, Console(quiet), as_json=json, dry_run=dry_run)
