"""What came of a run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from esrt_core.training.state import TrainingState


@dataclass(frozen=True)
class TrainResult:
    """Say what came of a run. PSNR on Y of the held-out pictures, dB; `best_step` is 0 when nothing beat the start."""

    best: Path
    steps: int
    seconds: float
    held_out: int
    bicubic_psnr: float
    start_psnr: float
    best_psnr: float
    last_psnr: float
    best_step: int
    name: str | None = None

    @property
    def sentence(self) -> str:
        """How much better, on what, and where the file is."""
        where = f"on {self.held_out} held-out picture{'s' * (self.held_out != 1)}"
        file = f"{self.best} (--model {self.name})" if self.name else str(self.best)
        if not self.best_step:
            beaten = f"Nothing beat the start, {self.start_psnr:.2f} dB {where}"
            return f"{beaten}: the best weights are those of the start, {file}"
        gain = _compared(self.best_psnr, self.start_psnr, "the start")
        return (
            f"{gain} and {_compared(self.best_psnr, self.bicubic_psnr, 'bicubic')} "
            f"(PSNR {self.best_psnr:.2f} dB on Y) {where}: {file}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values for run.json."""
        return {**asdict(self), "best": str(self.best.resolve())}


def _compared(psnr: float, other: float, name: str) -> str:
    return f"{abs(psnr - other):.2f} dB {'better' if psnr >= other else 'worse'} than {name}"


def result_of(state: TrainingState, best: Path, held_out: int, name: str | None) -> TrainResult:
    """Sum up a state."""
    return TrainResult(
        best=best,
        steps=state.step,
        seconds=state.seconds,
        held_out=held_out,
        bicubic_psnr=state.bicubic_psnr,
        start_psnr=state.start_psnr,
        best_psnr=state.best_psnr,
        last_psnr=state.last_psnr,
        best_step=state.best_step,
        name=name,
    )
