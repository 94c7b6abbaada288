"""Measure PSNR on Y of weights files along a run and of the mean of the last ones, to see the gain of longer training.

    python -m benchmarks.checkpoints FILE... --set Set5=FOLDER --set training=FOLDER --average 2 4

Name the files in the order of the run. `esrt train` only keeps the best and the last weights: copy `last.safetensors`
while it runs. With training pictures among the sets, the gap to the held-out ones shows whether the data limit the
result. Pictures are upscaled with the engine's defaults in float32; at most --most of a set are used, evenly spaced.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.quality import enlarger, means
from esrt_core.engine.options import EngineOptions
from esrt_core.evaluation.dataset import find_pictures
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import configure_process
from esrt_core.weights.checkpoint import load_checkpoint, save_checkpoint


def main() -> None:
    configure_process()
    options = parse()
    print(f"| weights | {' | '.join(f'{name} ({len(paths)})' for name, paths in options.sets.items())} |")
    print("|---|" + "---|" * len(options.sets))
    for path in options.files:
        row(path.stem, path, options)
    with tempfile.TemporaryDirectory() as folder:
        for count in options.average:
            mean = Path(folder, f"mean of the last {count}.safetensors")
            average(options.files[-count:], mean)
            row(mean.stem, mean, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--average", type=int, nargs="+", default=[], metavar="N")
    parser.add_argument("--most", type=int, default=30, help="pictures of a set")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    options.sets = {}
    for entry in options.set:
        name, _, folder = entry.partition("=")
        paths = find_pictures(Path(folder))
        options.sets[name] = paths[:: -(-len(paths) // options.most)]
    return options


def average(files: Sequence[Path], target: Path) -> None:
    """Write the mean of several weights files of one shape."""
    checkpoints = [load_checkpoint(path) for path in files]
    states: list[dict[str, Tensor]] = [checkpoint.network.state_dict() for checkpoint in checkpoints]
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    save_checkpoint(mean, target, checkpoints[-1].metadata)


def row(name: str, weights: Path, options: argparse.Namespace) -> None:
    scale = load_checkpoint(weights).metadata.scale
    enlarge = enlarger(UpscalerPool(str(weights), EngineOptions(threads=options.threads, precision="fp32")), scale)
    cells = [f"{means(paths, scale, enlarge)[1].psnr:.3f}" for paths in options.sets.values()]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
