"""torch.export's format: a program for torch, without this package."""

import json
from pathlib import Path

import torch

from esrt_core.export.card import program_card
from esrt_core.export.check import Images, Run, largest_difference
from esrt_core.export.form import Form, capture
from esrt_core.weights.metadata import CheckpointMetadata

CARD = "esrt.json"  # torch.export.load() returns it through its extra_files


def write_pt2(form: Form, metadata: CheckpointMetadata, path: Path) -> float:
    """Write a program in torch.export's format and return its largest difference from the network, loaded again.

    Raises WeightsError where they differ, see largest_difference().
    """
    torch.export.save(capture(form), path, extra_files={CARD: json.dumps(program_card(metadata, form))})
    return largest_difference(pt2_runner(path), form)


def pt2_runner(path: Path) -> Run:
    """Return a function that loads a .pt2 file and runs it on the CPU."""
    program = torch.export.load(path).module()

    def run(images: Images) -> Images:
        with torch.inference_mode():
            enlarged: Images = program(torch.from_numpy(images)).numpy()
        return enlarged

    return run
