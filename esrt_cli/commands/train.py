"""`esrt train`: fit ESRT to pictures or train it from scratch; a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esrt_cli.console import Console
from esrt_cli.figures import counted, duration, time_left
from esrt_cli.params import DeviceOpt, JsonOpt, MaxPixelsOpt, ProgressOpt, QuietOpt, ThreadsOpt, VerboseOpt, parse_time

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from esrt_core.progress import Progress
    from esrt_core.training.events import Started, Trained, TrainEvent, Unusable, Validated
    from esrt_core.training.run_folder import TrainResult


def train(
    sources: Annotated[list[Path], typer.Argument(metavar="IN", help="Pictures, or folders of them.")],
    scale: Annotated[int, typer.Option("-s", "--scale", metavar="2|3|4", help="Factor to train for.")],
    init: Annotated[
        str,
        typer.Option(
            "--model",
            "--init",
            metavar="NAME|FILE|URL",
            help="Weights to start from; of another scale, only the body is used.",
        ),
    ] = "clean",
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from random weights.")] = False,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Length of the run in steps.")] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Length of the run without interruptions: 90s, 1h30m. Default 30m."),
    ] = None,
    val: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures to validate on. Default: some are held out.")
    ] = None,
    lr_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="LR pictures of the same names. Default: made by bicubic.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", "--out", metavar="DIR", help="The run's folder. Default: in runs/."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Register the result: --model NAME finds it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Register the result even if nothing beat the start.")] = False,
    degrade: Annotated[
        str, typer.Option(metavar="none|photo", help="photo: add blur, noise and JPEG to the LR pictures.")
    ] = "none",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of all random choices.")] = 0,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Patches per step, over all processes.")] = None,
    patch: Annotated[int | None, typer.Option(metavar="PX", help="Side of the LR patches.")] = None,
    lr: Annotated[float | None, typer.Option(metavar="NUMBER", help="Peak learning rate.")] = None,
    warmup: Annotated[int, typer.Option(metavar="N", help="Steps until the peak is reached.")] = 50,
    optimizer: Annotated[
        str,
        typer.Option(
            "--optimizer", "--optimiser", metavar="NAME", help="adam, muon, or auto: muon from scratch, else adam."
        ),
    ] = "auto",
    weight_decay: Annotated[float | None, typer.Option(metavar="NUMBER", help="Decoupled weight decay.")] = None,
    ema: Annotated[float, typer.Option(metavar="NUMBER", help="Decay of the averaged weights.")] = 0.998,
    fft: Annotated[float, typer.Option(metavar="NUMBER", help="Weight of the frequency-domain term beside L1.")] = 0.0,
    mse_last: Annotated[float, typer.Option(metavar="NUMBER", help="Share of the run, at its end, with MSE.")] = 0.0,
    validations: Annotated[int, typer.Option(metavar="N", help="Validations over the run.")] = 10,
    device: DeviceOpt = "auto",
    threads: ThreadsOpt = None,
    max_pixels: MaxPixelsOpt = None,
    json: JsonOpt = False,
    progress: ProgressOpt = "bar",
    quiet: QuietOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Fit ESRT to your pictures and measure the gain; rerun the same command to resume.

    Starts from the bundled weights, holds some pictures out for validation, and trains for 30 minutes.

    \b
    Examples:
      esrt train my-photos -s 4
      esrt train my-photos -s 2 --time 2h --name mine
      esrt train scans -s 3 --model clean --degrade photo --steps 5000 -o runs/scans
      OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m esrt_cli train my-photos -s 2
    """
    console = Console(quiet, verbose, events=progress == "json")
    console.start("preparing the training ...")
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS
    from esrt_core.training.options import TrainOptions, check_packages

    check_packages()  # before torch is imported
    options = TrainOptions(
        sources=tuple(sources),
        scale=scale,
        start=init,
        from_scratch=from_scratch,
        steps=steps,
        seconds=None if time is None else float(parse_time(time, "--time")),
        val=val,
        lr_dir=lr_dir,
        out=output,
        name=name,
        force=force,
        seed=seed,
        device=device,
        threads=threads,
        batch=batch,
        patch=patch,
        lr=lr,
        optimizer=optimizer,
        weight_decay=weight_decay,
        ema=ema,
        warmup=warmup,
        fft_weight=fft,
        mse_last=mse_last,
        degrade=degrade,
        validations=validations,
        max_pixels=DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels,
    )
    from esrt_core.training.run import train as run

    with TrainView(console) as view:
        result = run(options, view.event, view.progress)
    view.finish(result, as_json=json)


LINE_SECONDS = 30.0  # between two plain progress lines
MAX_UNUSABLE = 20


class TrainView:
    """Show the events of a run: a live table on a terminal, plain lines or JSON events elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.is_main_process = os.environ.get("RANK", "0") == "0"
        self._live: Live | None = None
        self._open = ExitStack()
        self._shown: dict[str, str] = {}
        self._next_line = 0.0
        self._unusable = 0

    def __enter__(self) -> TrainView:
        if self.console.shows_progress() and not self.console.events and self.is_main_process:
            self._live = self._open.enter_context(self.console.live(refresh_per_second=4))
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
        self._live = None

    def event(self, event: TrainEvent) -> None:
        """Show an event."""
        from esrt_core.training.events import Notice, Started, Trained, Unusable, Validated

        match event:
            case Notice(text):
                self.console.note(text)
            case Unusable():
                self._unusable_line(event)
            case Started():
                self._started(event)
            case Trained():
                self._trained(event)
            case Validated():
                self._validated(event)

    def progress(self, progress: Progress) -> None:
        """Show the progress of reading pictures."""
        self._show(progress.stage, f"{progress.done:,} of {progress.total:,} {progress.unit}")
        if progress.done == progress.total:
            del self._shown[progress.stage]

    def finish(self, result: TrainResult, *, as_json: bool) -> None:
        """Print the result in one sentence, or as JSON."""
        if not self.is_main_process:
            return
        self.console.event("result", **result.as_json())
        if as_json:
            self.console.record(json.dumps({"ok": True, **result.as_json()}))
        else:
            self.console.result(result.sentence)

    def _unusable_line(self, event: Unusable) -> None:
        self._unusable += 1
        if self.console.events:
            self.console.event("failure", source=str(event.path), error=event.reason)
        elif self._unusable <= MAX_UNUSABLE or self.console.verbose:
            self.console.note(f"not used: {event.reason}")
        elif self._unusable == MAX_UNUSABLE + 1:
            self.console.note("not used: further pictures, which are listed with --verbose")

    def _started(self, event: Started) -> None:
        self.console.plan(
            f"{counted(event.pictures, 'pictures')} to train on, {event.held_out:,} held out: bicubic "
            f"{event.bicubic_psnr:.2f} dB, start {event.start_psnr:.2f} dB on Y; {event.device}; {event.folder}",
            **dataclasses.asdict(event),
        )
        if event.step:
            self.console.note(f"resuming after step {event.step:,}, {duration(event.seconds)} of training")

    def _trained(self, event: Trained) -> None:
        left = event.remaining_seconds
        if self.console.events:
            self.console.event("progress", **_progress_values(event))
            return
        text = {
            "step": f"{event.step:,} ({event.fraction:.1%})",
            "left": "?" if left is None else time_left(left)[0],
            "loss": f"{event.loss:.5f}",
            "rate": f"{event.lr:.6f}, {counted(event.batch, 'patches')} of {event.patch} px",
            "speed": f"{event.pixels_per_second:,.0f} LR px/s",
        }
        for name, value in text.items():
            self._show(name, value)
        if self._live is None and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            self.console.note(", ".join(f"{name} {value}" for name, value in text.items()))

    def _validated(self, event: Validated) -> None:
        if self.console.events:
            self.console.event("validation", **dataclasses.asdict(event))
            return
        best = ", the best so far" if event.best else ""
        self._show("PSNR", f"{event.psnr:.3f} dB")
        self.console.note(f"step {event.step:,}, {duration(event.seconds)}: PSNR {event.psnr:.3f} dB{best}")

    def _show(self, name: str, value: str) -> None:
        self._shown[name] = value
        if self._live is not None:
            self._live.update(_table(self._shown))


def _progress_values(event: Trained) -> dict[str, object]:
    """Return the values of a progress event: those of every command, and those of training."""
    per_second = event.step / event.seconds if event.seconds else None
    left = event.remaining_seconds
    total = round(event.step / event.fraction) if event.fraction else None
    return {
        "source": None,
        "done": event.step,
        "total": total,
        "unit": "steps",
        "share": round(event.fraction, 4),
        "per_second": None if per_second is None else round(per_second, 4),
        "seconds_left": None if left is None else round(left, 1),
        "text": f"loss {event.loss:.5f}",
        "loss": event.loss,
        "lr": event.lr,
        "patch": event.patch,
        "batch": event.batch,
    }


def _table(shown: dict[str, str]) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, value in shown.items():
        table.add_row(name, value)
    return table
