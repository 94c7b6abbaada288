"""What any weights file says about itself, of whatever form it is."""

from pathlib import Path

from esrt_core.weights.header import read_header
from esrt_core.weights.metadata import CheckpointMetadata
from esrt_core.weights.suffixes import PICKLED


def describe_file(path: Path) -> CheckpointMetadata:
    """Return the metadata of a weights file, read off its tensors where it has none.

    Only a .pth or .pt file costs the import of torch, which alone can read it. Raises WeightsError when it is not ESRT.
    """
    if path.suffix.lower() not in PICKLED:
        return read_header(path).metadata
    from esrt_core.weights.checkpoint import load_checkpoint

    return load_checkpoint(path).metadata
