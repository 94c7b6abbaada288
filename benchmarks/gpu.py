"""Measure the network and the engine on a CUDA GPU: speed, precision, memory, and behavior when memory runs out.

    python -m benchmarks.gpu

Every line is a JSON object, printed as soon as it is known; a failure is reported in its own line. Pictures are noise,
no two equal. `--device cpu --small` only tests the program.
"""

import argparse
import json

import torch

from benchmarks.gpu_memory import headline, shortage
from benchmarks.gpu_precision import precision
from benchmarks.gpu_row import CUDA, attempt
from benchmarks.gpu_speed import bare, engine
from esrt_core.system.process import configure_process


def main() -> None:
    configure_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny pictures")
    parser.add_argument("--repeats", type=int, default=5)
    sections = {section.__name__: section for section in (bare, engine, precision, headline, shortage)}
    parser.add_argument("--sections", nargs="+", choices=sections, default=list(sections))
    options = parser.parse_args()
    print(
        json.dumps({"torch": torch.__version__, "device": torch.cuda.get_device_name() if CUDA else "cpu"}), flush=True
    )
    for name in options.sections:
        attempt(name, sections[name], options)


if __name__ == "__main__":
    main()
