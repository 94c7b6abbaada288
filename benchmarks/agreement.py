"""Does `esrt compare` rank clean and photo weights as the truth does? python -m benchmarks.agreement CACHE

Takes the photos of the report table of benchmarks.kinds that were JPEGs of qualities at which some gain from the photo
weights and some lose. The truth is the table's: PSNR of the enlarged JPEG against the undamaged photo. Ties, under
0.05 dB, are left out. Compared with it is the ranking of `esrt compare`, which knows the JPEG alone, and of
what it combines: the measure on the reduced version, damaged again, and what `auto` expects; that of version 0.1.0,
which took the picture for undamaged; and always saying one kind.
"""

import argparse
import math
from pathlib import Path

import numpy as np

from benchmarks.fit_auto import container_of
from benchmarks.kinds import Row, enlarged, load_table
from esrt_core.compare.gain import Reduction, trust_of
from esrt_core.compare.reproduce import Damage, reproduced_damage
from esrt_core.evaluation.damage import look
from esrt_core.evaluation.prediction import predict_gains
from esrt_core.evaluation.protocol import Rgb
from esrt_core.media.frame import Frame

TIE = 0.05  # dB
SPLIT = ("JPEG 80", "JPEG 85", "JPEG 90", "JPEG 92 4:4:4", "JPEG 95")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    options = parser.parse_args()
    table = load_table(options.cache, "report", ("clean", "photo"))
    found: dict[tuple[int, str], list[tuple[float, ...]]] = {}
    for row, lr, (clean, photo) in zip(table.rows, table.lr, table.psnr, strict=True):
        if not row.drawing and row.damage in SPLIT and abs(photo - clean) >= TIE:
            seen, container = look([Frame((lr,))]), container_of(row)
            expected = predict_gains(seen, container, row.scale)["photo"]
            damaged = ranked(row, lr, reproduced_damage(lr, seen, container))
            trust = trust_of(math.sqrt(lr.shape[0] * lr.shape[1]) / row.scale)
            combined = trust * damaged + (1 - trust) * expected
            measured = (photo - clean, combined, damaged, expected, ranked(row, lr, None))
            found.setdefault((row.scale, row.damage), []).append(measured)
    print("| scale | damage | photos | always photo | always clean | 0.1.0 | damaged again | expected | compare |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (scale, damage), rows in found.items():
        print(line(f"x{scale}", damage, np.array(rows)))
    for scale in sorted({scale for scale, _ in found}):
        print(
            line(f"x{scale}", "all", np.concatenate([np.array(rows) for key, rows in found.items() if key[0] == scale]))
        )


def ranked(row: Row, lr: Rgb, damage: Damage | None) -> float:
    """Return by how much the photo weights are better than the clean ones on the reduced version, dB."""
    reduction = Reduction(lr, row.scale, damage)
    scores = [
        reduction.score(kind, lambda frame, use=kind: Frame((enlarged(frame.planes[0], use, row.scale),))).psnr  # type: ignore[misc]
        for kind in ("photo", "clean")
    ]
    return 0.0 if scores[0] is None or scores[1] is None else scores[0] - scores[1]


def line(scale: str, damage: str, measured: np.ndarray) -> str:
    truth = measured[:, 0] > 0
    agree = [float(((measured[:, place] > 0) == truth).mean()) for place in (4, 2, 3, 1)]
    cells = [float(truth.mean()), float((~truth).mean()), *agree]
    return f"| {scale} | {damage} | {len(truth)} | {' | '.join(f'{cell:.0%}' for cell in cells)} |"


if __name__ == "__main__":
    main()
