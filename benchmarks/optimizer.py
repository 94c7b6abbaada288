"""Compare Adam and Muon, batch sizes and EMA lengths in runs of equal time, to choose the defaults.

python benchmarks/optimizer.py PICTURES --val HELD_OUT --minutes 3 --minutes 30 --out runs/optimizer

Every row of TRIALS is one run of `esrt train` from scratch, of equal time on an otherwise idle machine; the table is
printed and written to OUT/table.md. Rerun the command to resume. Do not choose by short runs alone: what wins in three
minutes may lose in thirty.

Under torchrun it trains in several processes; use --only to run one trial after the other, and a last command without
either to print the table.
"""

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.system.process import configure_process
from esrt_core.training.optimizers import is_matrix
from esrt_core.training.options import TrainOptions
from esrt_core.training.run import train


@dataclass(frozen=True)
class Trial:
    """Hold the options that distinguish one run."""

    name: str
    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float | None = None
    batch: int | None = None
    ema: float = 0.998


BEST = ("muon", 5e-3, 0.1)  # of the rows below; batches and EMA lengths are compared with it

TRIALS = {
    "optimizer": (
        Trial("Adam 5e-4", lr=5e-4),
        Trial("Adam 1e-3"),
        Trial("Adam 2e-3", lr=2e-3),
        Trial("Adam 4e-3", lr=4e-3),
        Trial("Adam 8e-3", lr=8e-3),
        Trial("Muon 2e-3, decay 0.1", "muon", 2e-3, 0.1),
        Trial("Muon 5e-3, decay 0", "muon", 5e-3, 0.0),
        Trial("Muon 5e-3, decay 0.1", "muon", 5e-3, 0.1),
        Trial("Muon 5e-3, decay 0.5", "muon", 5e-3, 0.5),
        Trial("Muon 1e-2, decay 0.1", "muon", 1e-2, 0.1),
    ),
    "batch": (
        Trial("batch 8", *BEST, batch=8),
        Trial("batch 16", *BEST, batch=16),
        Trial("batch 32", *BEST, batch=32),
    ),
    "ema": (
        Trial("EMA 0.99", *BEST, ema=0.99),
        Trial("EMA 0.9995", *BEST, ema=0.9995),
    ),
}


def main() -> None:
    configure_process()
    arguments = parse()
    rows = []
    for minutes in arguments.minutes:
        for kind in arguments.kinds:
            for trial in TRIALS[kind]:
                if not any(word in trial.name for word in arguments.only or [""]):
                    continue
                out = arguments.out / f"{kind}-{minutes:g}m-{trial.name.replace(' ', '_').replace(',', '')}"
                rows.append(run(trial, minutes, out, arguments))
    if int(os.environ.get("RANK", "0")) == 0:
        (arguments.out / "table.md").write_text(table(rows) + "\n", "utf-8")
        print(table(rows))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare optimizers, batch sizes and EMA lengths at equal time.")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--minutes", type=float, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="trials whose name has these words")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--patch", type=int, help="without it, the trainer's own stages")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def run(trial: Trial, minutes: float, out: Path, arguments: argparse.Namespace) -> list[str]:
    """Train one trial; return its row of the table."""
    options = TrainOptions(
        sources=tuple(arguments.pictures),
        scale=arguments.scale,
        from_scratch=True,
        seconds=minutes * 60,
        val=arguments.val,
        out=out,
        seed=arguments.seed,
        patch=arguments.patch,
        batch=trial.batch,
        lr=trial.lr,
        optimizer=trial.optimizer,
        weight_decay=trial.weight_decay,
        ema=trial.ema,
        validations=4,
    )
    result = train(options)
    return [trial.name, f"{minutes:g}", str(result.steps), f"{result.last_psnr:.2f}", f"{growth(out):.2f}"]


def growth(out: Path) -> float:
    """Return the RMS of the inner matrices relative to initial ones; if it grows without bound, long runs fail."""
    saved = torch.load(out / "state.pt", weights_only=True)["network"]
    scale = json.loads((out / "run.json").read_text())["options"]["scale"]
    torch.manual_seed(0)
    fresh = ESRT(ESRTConfig(scale)).state_dict()
    names = [name for name, value in fresh.items() if is_matrix(name, value)]
    now, before = (
        torch.cat([state[name].flatten() for name in names]).square().mean().sqrt() for state in (saved, fresh)
    )
    return float(now / before)


def table(rows: list[list[str]]) -> str:
    head = ["trial", "minutes", "steps", "PSNR on Y, held out (dB)", "growth of the weights' RMS"]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    main()
