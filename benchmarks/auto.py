"""Report what `--model auto` loses against the best kind for each picture: python -m benchmarks.auto CACHE

Takes the table that `python -m benchmarks.kinds CACHE --set report` makes of pictures that neither the weights nor the
rule were fitted to. PSNR is in dB on Y against the undamaged picture, the mean over both halves of the pictures and
over the forms in which a row can be met: as its file, kept as PNG, and cropped. The last columns are the mean regret of
each half: how far the chosen kind is below the best one of each picture.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit_auto import FORMS, regret, seen_forms
from benchmarks.kinds import Row, Table, load_table
from esrt_core.evaluation.prediction import KINDS, predict_gains

TOLERANCE = 0.05  # dB


Values = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Hold gains over clean (N, kinds) in dB, what was predicted of them, the PSNR of clean, and the rows and forms."""

    gains: Values
    predicted: Values
    clean: Values
    rows: Sequence[Row]
    forms: Sequence[str]


@dataclass(frozen=True)
class Line:
    """Hold means in dB over the examples of one damage at one scale."""

    count: int
    bicubic: float
    clean: float
    kinds: Sequence[float]
    auto: float
    regrets: Sequence[float]

    @property
    def marks(self) -> str:
        """Say where the choice is worse than version 0.1.0 could be at its best, or than bicubic."""
        old = max(self.clean, self.kinds[KINDS.index("photo")])
        found = [f"{self.auto - old:+.2f} to clean or photo"] if self.auto < old - TOLERANCE else []
        return ", ".join([*found, *(["below bicubic"] if self.auto < self.bicubic else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    options = parser.parse_args()
    examples = examples_of(measured(load_table(options.cache, "report", ("clean", *KINDS))))
    lost = regret(examples.predicted, examples.gains)
    summary(examples, lost)
    print("\n| damage | scale | count | bicubic | clean | photo | drawing | auto | regret, halves | |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for drawing in (False, True):
        for damage in dict.fromkeys(row.damage for row in examples.rows if row.drawing == drawing):
            for scale in (2, 3, 4):
                mask = np.array(
                    [(row.drawing, row.damage, row.scale) == (drawing, damage, scale) for row in examples.rows]
                )
                if mask.any():
                    name = f"drawing, {damage}" if drawing else damage
                    print(text(name, scale, line(examples, mask, lost)), flush=True)


def measured(table: Table) -> Table:
    """Return the rows of which all kinds were measured."""
    places = np.flatnonzero(~np.isnan(table.psnr).any(1)).tolist()
    return Table([table.rows[p] for p in places], [table.lr[p] for p in places], [table.errors[p] for p in places])


def examples_of(table: Table) -> Examples:
    """Predict the gains of every form of every row."""
    predicted, gains, clean, rows, forms = [], [], [], [], []
    for row, lr, psnr in zip(table.rows, table.lr, table.psnr, strict=True):
        for form, seen, container in seen_forms(row, lr):
            expected = predict_gains(seen, container, row.scale)
            predicted.append([expected[kind] for kind in KINDS])
            gains.append(psnr[1:] - psnr[0])
            clean.append(psnr[0])
            rows.append(row)
            forms.append(form)
    return Examples(np.array(gains), np.array(predicted), np.array(clean), rows, forms)


def half_of(examples: Examples) -> np.ndarray:
    return np.array([row.place % 2 for row in examples.rows])


def line(examples: Examples, mask: np.ndarray, lost: np.ndarray) -> Line:
    """Average the examples of a mask; the chosen kind has the best one's PSNR less its regret."""
    base = examples.clean
    best = base + np.maximum(examples.gains, 0).max(1)
    halves = half_of(examples)
    return Line(
        len({row.picture for row, each in zip(examples.rows, mask, strict=True) if each}),
        float(np.mean([row.bicubic for row, each in zip(examples.rows, mask, strict=True) if each])),
        float(base[mask].mean()),
        [float(value) for value in (base[:, None] + examples.gains)[mask].mean(0)],
        float((best - lost)[mask].mean()),
        [float(lost[mask & (halves == half)].mean()) for half in (0, 1) if (mask & (halves == half)).any()],
    )


def text(name: str, scale: int, found: Line) -> str:
    kinds = " | ".join(f"{value:.2f}" for value in found.kinds)
    regrets = ", ".join(f"{value:.3f}" for value in found.regrets)
    return (
        f"| {name} | x{scale} | {found.count} | {found.bicubic:.2f} | {found.clean:.2f} | {kinds} | {found.auto:.2f} | "
        f"{regrets} | {found.marks} |"
    )


def summary(examples: Examples, lost: np.ndarray) -> None:
    """Print the mean regret of photos and drawings by scale, half and form, beside that of always saying one kind."""
    halves, forms = half_of(examples), np.array(examples.forms)
    print(
        "| pictures | scale | half 1 | half 2 | file | png | cropped | always clean | always photo | always drawing |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    fixed = [regret(np.tile(one, (len(lost), 1)), examples.gains) for one in ([-99, -99], [99, -99], [-99, 99])]
    for drawing in (False, True):
        for scale in (2, 3, 4):
            mask = np.array([(row.drawing, row.scale) == (drawing, scale) for row in examples.rows])
            parts = [halves == 0, halves == 1, *(forms == form for form in FORMS)]
            values = [lost[mask & part] for part in parts] + [each[mask] for each in fixed]
            if mask.any():
                cells = " | ".join(f"{each.mean():.3f}" if len(each) else "-" for each in values)
                print(f"| {'drawings' if drawing else 'photos'} | x{scale} | {cells} |")


if __name__ == "__main__":
    main()
