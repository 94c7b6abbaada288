"""`esrt video`: plan, upscale and report clips one after the other; one that fails does not stop the others."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esrt_cli import params
from esrt_cli.console import Console
from esrt_cli.figures import counted, duration, expected, rate
from esrt_cli.progress import Speed, progress_line
from esrt_cli.report import error_json, weights_text
from esrt_cli.signals import Interrupted
from esrt_core.errors import EsrtError, StopError
from esrt_core.progress import Progress, ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from esrt_core.pipeline.video.plan import VideoPlan
    from esrt_core.pipeline.video.run import ClipResult


class ClipReporter:
    """Print plans, results and failures, as lines or as JSON, and count the failures."""

    def __init__(self, console: Console, *, as_json: bool, dry_run: bool) -> None:
        self.console = console
        self.failures = 0
        self.kept = "no partial files were written"
        self._as_json = as_json
        self._dry_run = dry_run
        self._running = ExitStack()
        self._show: ProgressCallback = ignore_progress

    def planned(self, plan: VideoPlan, seconds: float | None) -> None:
        """Print the plan, before the work or instead of it; then start the progress bar."""
        if self._dry_run and self._as_json:
            self.console.record(plan_json(plan, seconds))
        elif self._dry_run:
            self.console.result(plan_line(plan, seconds))
        else:
            self.console.plan(plan_line(plan, seconds), **plan_values(plan, seconds))
        for note in plan.notes:
            self.console.note(f"note: {plan.clip.path}: {note}")
        if not self._dry_run:
            self._show = self._running.enter_context(clip_progress(self.console, str(plan.clip.path)))

    def progress(self, report: Progress) -> None:
        """Show the progress of the clip."""
        self._show(report)

    def done(self, result: ClipResult) -> None:
        """Print the result of a clip; damage counts as a failure, although there is a result."""
        self._running.close()
        self.console.event("result", **dataclasses.asdict(result))
        self.console.detail(detail_line(result))
        if self._as_json:
            self.console.record(json.dumps({"ok": not result.damage, **dataclasses.asdict(result)}))
        else:
            self.console.result(result_line(result))
        for line in result.damage:
            self.console.error(f"{result.source} is damaged: {line}", result.source)
        self.failures += bool(result.damage)

    def failed(self, path: Path, error: EsrtError) -> None:
        """Print why a clip failed."""
        self._running.close()
        self.failures += 1
        self.console.error(str(error), str(path))
        if self._as_json:
            self.console.record(error_json(str(path), error))

    def stopped(self, frames: int) -> None:
        """Remember what a later run can resume."""
        self._running.close()
        after = f"rerun to resume after {counted(frames, 'frames')}"
        self.kept = after if frames else "no segment was finished; rerun to start again"

    def note(self, text: str) -> None:
        """Print a note about the inputs or the weights."""
        self.console.note(f"note: {text}")


def plan_line(plan: VideoPlan, seconds: float | None) -> str:
    """Return the plan of one clip in one line."""
    video, encode, timing = plan.clip.video, plan.encode, plan.clip.video.timing
    frames = counted(plan.slots, "frames")
    frames += " at varying times" if plan.timeline.keep else f" at {float(plan.timeline.rate):.6g} per second"
    time_ = expected(seconds) if seconds is None else f"{duration(seconds)} at most"
    hdr = f" {video.colors.hdr}" if video.colors.hdr else ""
    return (
        f"{plan.clip.path}: {video.codec} {video.width} x {video.height} {video.pixels}{hdr}, "
        f"{duration(float(timing.duration))} -> {plan.target}: {plan.codec.name} ({plan.encoder.name}) "
        f"{encode.width} x {encode.height} {encode.pixels}, {frames}, {time_}{kept_text(plan)}"
    )


def kept_text(plan: VideoPlan) -> str:
    """Return what is kept of a clip beside its picture, as the end of a line; "" if there is nothing else in it."""
    nouns = {"audio": "audio tracks", "subtitle": "subtitles", "attachment": "attachments", "data": "data streams"}
    kept = Counter(stream.kind for stream in plan.mux.streams)
    counts = [(kept[kind], noun) for kind, noun in nouns.items()]
    texts = [counted(count, noun) for count, noun in [*counts, (plan.clip.chapters, "chapters")] if count]
    return f"; kept: {', '.join(texts)}" if texts else ""


def plan_json(plan: VideoPlan, seconds: float | None) -> str:
    """Return a plan as one JSON object on one line."""
    return json.dumps({"ok": True, **plan_values(plan, seconds)})


def plan_values(plan: VideoPlan, seconds: float | None) -> dict[str, Any]:
    """Return a plan as JSON values."""
    video = plan.clip.video
    return {
        "source": str(plan.clip.path),
        "target": str(plan.target),
        "codec": plan.codec.name,
        "encoder": plan.encoder.name,
        "pixels": plan.encode.pixels,
        "source_size": [video.width, video.height],
        "size": [plan.encode.width, plan.encode.height],
        "model": plan.chain.first,
        "reason": plan.chain.reason,
        "passes": plan.size.passes,
        "rate": str(plan.timeline.rate),
        "variable": video.timing.variable,
        "frames": plan.slots,
        "most_seconds": seconds,
        "streams": [dataclasses.asdict(stream) for stream in plan.mux.streams],
        "chapters": plan.clip.chapters,
        "needed_bytes": plan.needed,
        "notes": plan.notes,
        "damage": plan.clip.damage,
    }


def detail_line(result: ClipResult) -> str:
    """Return how a clip was computed."""
    return (
        f"{result.source}: with {result.model} on {result.device} in {result.precision}, tile {result.tile}, "
        f"{counted(result.frames_computed, 'frames')} computed, {result.frames_reused:,} reused, "
        f"{counted(result.tiles_computed, 'tiles')} computed, {result.tiles_reused:,} reused"
    )


def result_line(result: ClipResult) -> str:
    """Return the result of one clip in one line."""
    resumed = f", {result.resumed_at:,} from an earlier run" if result.resumed_at else ""
    return (
        f"{result.target}: {result.size[0]} x {result.size[1]}, {counted(result.frames, 'frames')}{resumed}, "
        f"{duration(result.seconds)}, {rate(result.fps, 'frames')[0]}, {result.share_reused:.0%} reused"
        f"{weights_text(result.model, result.reason)}"
    )


@contextmanager
def clip_progress(console: Console, source: str) -> Iterator[ProgressCallback]:
    """Show frames, their rate, the remaining time, segment and reuse while the block runs."""
    speed = Speed()
    with progress_line(console, source) as show:

        def report(progress: Progress) -> None:
            segment, _, reused = progress.stage.partition(", ")
            show(speed(progress, ((reused, reused), (segment, segment))))

        yield report


InputsArg = Annotated[list[str], typer.Argument(metavar="IN", help="Clips, or folders of them.")]
ScaleOpt = Annotated[
    Decimal | None,
    typer.Option(
        "-s",
        "--scale",
        parser=params.parse_number,
        metavar="NUMBER",
        help="Factor for both sides, 1 (clean up) to 16. Default 2.",
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
DeinterlaceOpt = Annotated[
    bool, typer.Option("--deinterlace", help="Make progressive frames of interlaced ones first.")
]
VfrOpt = Annotated[str, typer.Option(metavar="NAME", help="Variable frame rate: constant (repeats frames) or keep.")]
TimeOpt = str | None
StartOpt = Annotated[TimeOpt, typer.Option(metavar="TIME", help="Begin here: 90, 1m30s, 1:30 or 0:01:30.5.")]
EndOpt = Annotated[TimeOpt, typer.Option(metavar="TIME", help="End here.")]
SegmentOpt = Annotated[str, typer.Option(metavar="TIME", help="Length of a segment, the most work that a crash costs.")]
PreviewOpt = Annotated[bool, typer.Option("--preview", help="Make a few seconds, source and result side by side.")]
RestartOpt = Annotated[bool, typer.Option("--restart", help="Discard unfinished work and start again.")]
AudioOpt = Annotated[
    str, typer.Option(metavar="NAME", help="Sound: copy (default), aac, alac, flac or opus to convert it, or none.")
]
DropOpt = Annotated[bool, typer.Option("--drop-streams", help="Leave out streams that the container does not support.")]


def video(
    inputs: InputsArg,
    scale: ScaleOpt = None,
    width: params.WidthOpt = None,
    height: params.HeightOpt = None,
    longest: params.LongestOpt = None,
    output: OutputOpt = None,
    name: params.NameOpt = None,
    model: params.ModelOpt = "auto",
    device: params.DevicesOpt = "auto",
    threads: params.ThreadsOpt = None,
    tile: params.TileOpt = None,
    strength: params.StrengthOpt = None,
    precision: params.PrecisionOpt = "auto",
    tta: params.TtaOpt = False,
    max_pixels: params.MaxPixelsOpt = None,
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
    audio: AudioOpt = "copy",
    drop_streams: DropOpt = False,
    overwrite: params.OverwriteOpt = False,
    json: params.JsonOpt = False,
    progress: params.ProgressOpt = "bar",
    quiet: params.QuietOpt = False,
    verbose: params.VerboseOpt = False,
    dry_run: params.DryRunOpt = False,
) -> int:
    """Upscale clips: sound, subtitles, chapters, timing and colors stay.

    Without -o the result is written beside the clip: clip.mp4 becomes clip_x2.mp4. After Ctrl-C, a crash or a power
    cut, rerun the same command to resume.

    \b
    Examples:
      esrt video clip.mp4
      esrt video clip.mp4 --preview
      esrt video old.avi --height 1080 --deinterlace -o old.mkv
      esrt video episodes/ -o large/ --codec hevc
    """
    console = Console(quiet, verbose, events=progress == "json")
    console.start(f"reading {', '.join(inputs)} ...")
    from esrt_cli.params import parse_time
    from esrt_core.engine.options import EngineOptions
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS
    from esrt_core.pipeline.video.options import VideoOptions
    from esrt_core.pipeline.video.run import upscale_clips

    options = VideoOptions(
        size=params.size_request(scale, width, height, longest, None),
        output=output,
        name=name,
        model=model,
        engine=EngineOptions(threads=threads, precision=precision, tile=tile, tta=tta),
        devices=tuple(device.split(",")),
        max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
        codec=codec,
        encoder=encoder,
        crf=crf,
        preset=preset,
        pixels=pixels,
        deinterlace=deinterlace,
        vfr=vfr,
        start=None if start is None else parse_time(start, "--start"),
        end=None if end is None else parse_time(end, "--end"),
        segment=parse_time(segment, "--segment"),
        preview=preview,
        overwrite=overwrite,
        restart=restart,
        strength=strength,
        drop=drop_streams,
        audio=audio,
    )
    reporter = ClipReporter(console, as_json=json, dry_run=dry_run)
    try:
        upscale_clips(inputs, options, reporter, dry_run=dry_run)
    except Interrupted as stop:
        raise StopError(f"{stop}; {reporter.kept}", stop.exit_code) from stop
    return 1 if reporter.failures else 0
