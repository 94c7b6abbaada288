"""What `esrt train` shows: a live line in a terminal, plain lines elsewhere."""

import os
import time
from types import TracebackType

from rich.console import Console as RichConsole
from rich.live import Live
from rich.table import Table

from esrt_cli.console import Console, printable
from esrt_core.progress import Progress
from esrt_core.training.events import Notice, Started, Trained, TrainEvent, Unusable, Validated
from esrt_core.training.result import TrainResult

LINE_SECONDS = 30.0  # between two plain lines about the loss
MOST_UNUSABLE = 20


class TrainView:
    """Show the events of a run."""

    def __init__(self, quiet: bool) -> None:
        self.console = Console(quiet=quiet)
        self.leads = os.environ.get("RANK", "0") == "0"
        self._live: Live | None = None
        self._shown: dict[str, str] = {}
        self._next_line = 0.0
        self._unusable = 0
        if self.console.shows_progress() and self.leads:
            self._live = Live(console=RichConsole(stderr=True), refresh_per_second=4, transient=True)

    def __enter__(self) -> "TrainView":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def event(self, event: TrainEvent) -> None:
        """Show an event."""
        match event:
            case Notice(text):
                self._line(text)
            case Unusable():
                self._unusable_line(event)
            case Started():
                self._started(event)
            case Trained():
                self._trained(event)
            case Validated():
                self._validated(event)

    def progress(self, progress: Progress) -> None:
        """Show how far the pictures have been read."""
        self._show(progress.stage, f"{progress.done} of {progress.total} {progress.unit}")
        if progress.done == progress.total:
            del self._shown[progress.stage]

    def finish(self, result: TrainResult) -> None:
        """Print the one sentence that sums the run up."""
        if self.leads:
            self.console.result(result.sentence)

    def _unusable_line(self, event: Unusable) -> None:
        self._unusable += 1
        if self._unusable <= MOST_UNUSABLE:
            self._line(f"not used: {event.reason}")
        elif self._unusable == MOST_UNUSABLE + 1:
            self._line("not used: more pictures, which are not listed")

    def _started(self, event: Started) -> None:
        self._line(
            f"{event.pictures} pictures to train on, {event.held_out} held out: bicubic {event.bicubic_psnr:.2f} dB, "
            f"the start {event.start_psnr:.2f} dB on Y; {event.device}; {event.folder}"
        )
        if event.step:
            self._line(f"going on after step {event.step}, {_duration(event.seconds)} of training")

    def _trained(self, event: Trained) -> None:
        left = event.remaining_seconds
        text = {
            "step": f"{event.step} ({event.fraction:.1%})",
            "loss": f"{event.loss:.5f}",
            "rate": f"{event.lr:.1e}, {event.batch} patches of {event.patch} px",
            "speed": f"{event.pixels_per_second:,.0f} LR px/s",
            "left": "?" if left is None else _duration(left),
        }
        for name, value in text.items():
            self._show(name, value)
        if self._live is None and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            self._line(", ".join(f"{name} {value}" for name, value in text.items()))

    def _validated(self, event: Validated) -> None:
        best = ", the best so far" if event.best else ""
        self._show("PSNR", f"{event.psnr:.3f} dB")
        self._line(f"step {event.step}, {_duration(event.seconds)}: PSNR {event.psnr:.3f} dB{best}")

    def _show(self, name: str, value: str) -> None:
        self._shown[name] = value
        if self._live is not None:
            self._live.update(_table(self._shown))

    def _line(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(printable(text), highlight=False, markup=False, soft_wrap=True)
        else:
            self.console.note(text)


def _table(shown: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in shown.items():
        table.add_row(name, value)
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
