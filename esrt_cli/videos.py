"""Clips one after the other: planned, upscaled and reported, whatever single ones are like."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_cli.report import duration, error_json, weights_text
from esrt_cli.signals import Interrupted
from esrt_core.errors import EsrtError, StopError
from esrt_core.progress import Progress, ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from esrt_cli.console import Console
    from esrt_core.pipeline.engines import Engines
    from esrt_core.pipeline.video import ClipResult
    from esrt_core.pipeline.video_options import VideoOptions
    from esrt_core.pipeline.video_plan import VideoPlan


def upscale_clips(
    inputs: Sequence[str], options: VideoOptions, console: Console, *, as_json: bool, dry_run: bool
) -> int:
    """Upscale clips, report each one, and return the exit code: 1 where one failed or was damaged."""
    from esrt_core.pipeline.clip_inputs import find_clips
    from esrt_core.pipeline.engines import Engines

    clips = find_clips(inputs, options)
    engines = Engines(options.model, options.engine)
    reporter = ClipReporter(console, as_json)
    for path in clips:
        try:
            upscale_one(path, options, engines, reporter, dry_run)
        except StopError:
            raise
        except EsrtError as error:
            reporter.failure(path, error)
    return 1 if reporter.failed else 0


def upscale_one(path: Path, options: VideoOptions, engines: Engines, reporter: ClipReporter, dry_run: bool) -> None:
    """Say what is planned for a clip, do it (unless `dry_run`) and say what came of it."""
    from esrt_core.pipeline.video import prepare_clip, upscale_clip
    from esrt_core.pipeline.video_estimate import most_seconds

    plan = prepare_clip(path, options, engines)
    reporter.plan(plan, most_seconds(plan, engines), dry_run)
    if dry_run:
        return
    try:
        with clip_progress(reporter.console) as progress:
            result = upscale_clip(plan, engines, progress)
    except Interrupted as stop:
        raise StopError(f"{stop}; the same command goes on from the last segment", stop.exit_code) from stop
    reporter.result(result)


@dataclasses.dataclass
class ClipReporter:
    """Print plans, results and failures, as lines or as JSON, and count the failures."""

    console: Console
    as_json: bool
    failed: int = 0

    def plan(self, plan: VideoPlan, seconds: float | None, dry_run: bool) -> None:
        """Print the plan: before the work, or in its place."""
        if dry_run and self.as_json:
            self.console.record(plan_json(plan, seconds))
        elif dry_run:
            self.console.result(plan_line(plan, seconds))
        else:
            self.console.note(plan_line(plan, seconds))
        for note in plan.notes:
            self.console.note(f"note: {plan.clip.path}: {note}")

    def result(self, result: ClipResult) -> None:
        """Print what came of a clip; damage counts as a failure, although the result is there."""
        if self.as_json:
            self.console.record(json.dumps({"ok": not result.damage, **dataclasses.asdict(result)}))
        else:
            self.console.result(result_line(result))
        for line in result.damage:
            self.console.error(f"{result.source} is damaged: {line}")
        self.failed += bool(result.damage)

    def failure(self, path: Path, error: EsrtError) -> None:
        """Print why a clip could not be done."""
        self.failed += 1
        self.console.error(str(error))
        if self.as_json:
            self.console.record(error_json(str(path), error))


def plan_line(plan: VideoPlan, seconds: float | None) -> str:
    """Say what is about to happen to one clip."""
    video, encode, timing = plan.clip.video, plan.encode, plan.clip.video.timing
    others = ", ".join(f"{len(plan.clip.of_kind(kind))} {kind}" for kind in ("audio", "subtitle", "attachment", "data"))
    rate = "variable" if plan.timeline.keep else f"{float(plan.timeline.rate):.6g}"
    time_ = "" if seconds is None else f", {duration(seconds)} at most"
    hdr = f" {video.colors.hdr}" if video.colors.hdr else ""
    return (
        f"{plan.clip.path}: {video.codec} {video.width} x {video.height} {video.pixels}{hdr}, "
        f"{duration(float(timing.duration))} -> {plan.target}: {plan.codec.name} ({plan.encoder.name}) "
        f"{encode.final_width} x {encode.final_height} {encode.pixels}, {plan.slots} frames at {rate} a second{time_}; "
        f"kept: {others}, {plan.clip.chapters} chapters"
    )


def plan_json(plan: VideoPlan, seconds: float | None) -> str:
    """Return a plan as one JSON object on one line."""
    video = plan.clip.video
    record: dict[str, Any] = {
        "ok": True,
        "source": str(plan.clip.path),
        "target": str(plan.target),
        "codec": plan.codec.name,
        "encoder": plan.encoder.name,
        "pixels": plan.encode.pixels,
        "source_size": [video.width, video.height],
        "size": [plan.encode.final_width, plan.encode.final_height],
        "model": plan.lineup.first,
        "reason": plan.lineup.reason,
        "passes": plan.size.passes,
        "rate": str(plan.timeline.rate),
        "variable": video.timing.variable,
        "frames": plan.slots,
        "most_seconds": seconds,
        "streams": [dataclasses.asdict(stream) for stream in plan.join.streams],
        "chapters": plan.clip.chapters,
        "needed_bytes": plan.needed,
        "notes": plan.notes,
        "damage": plan.clip.damage,
    }
    return json.dumps(record)


def result_line(result: ClipResult) -> str:
    """Say what became of one clip."""
    went_on = f", {result.went_on_at} from an earlier run" if result.went_on_at else ""
    return (
        f"{result.target}: {result.size[0]} x {result.size[1]}, {result.frames} frames{went_on}, "
        f"{duration(result.seconds)}, {result.fps:.3g} frames a second, {result.share_reused:.0%} reused"
        f"{weights_text(result.model, result.reason)}"
    )


@contextmanager
def clip_progress(console: Console) -> Iterator[ProgressCallback]:
    """Show frames, frames a second, the time left, segment and reuse while the block runs, on a terminal."""
    if not console.shows_progress():
        yield ignore_progress
        return
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("frames, {task.fields[rate]:.3g}/s, {task.description}"))
    with Bar(*columns, TimeRemainingColumn(), console=Terminal(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate=0.0)
        pace = Pace()

        def show(report: Progress) -> None:
            rate = pace(report.done)
            bar.update(task, completed=report.done, total=report.total or None, description=report.stage, rate=rate)

        yield show


class Pace:
    """Count frames a second since the first report: what an earlier run made does not count."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def __call__(self, done: int) -> float:
        """Return the pace at which `done` was reached."""
        now = time.monotonic()
        if self._start is None:
            self._start = (now, done)
        began, first = self._start
        return (done - first) / (now - began) if now > began else 0.0
