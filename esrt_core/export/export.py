"""Export a network: find its weights, write the requested format, and check the result before it is put in place."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import OptionError, WeightsError
from esrt_core.export.options import ExportFormat, ExportOptions
from esrt_core.export.programs import Form, tile_form, whole_form, write_onnx, write_pt2
from esrt_core.files import atomic_write, check_target
from esrt_core.model.esrt import ESRT
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint, write_pickled
from esrt_core.weights.detect import authors_name
from esrt_core.weights.store import resolve


@dataclass(frozen=True)
class Exported:
    """Hold what was written.

    weights     the file of the weights; `sha256` is its hash.
    shapes      (batch, height, width) at which a program was run; none for weights, which are read back.
    difference  the largest absolute difference from the network's output there.
    """

    target: str
    format: str
    model: str
    scale: int
    bytes: int
    tile: int | None
    shapes: tuple[tuple[int, int, int], ...]
    difference: float
    notes: tuple[str, ...]
    weights: str
    sha256: str


def export_network(options: ExportOptions, progress: ProgressCallback = ignore_progress) -> Exported:
    """Export a network; programs take a minute, most of it for tracing.

    The target appears only after the check: a program is run and compared with the network, weights are read back.
    `progress` reports downloads.

    Raises: OptionError if a package is missing; WeightsError if the weights cannot be used or the result differs from
    them; TargetError if the target cannot be written.
    """
    check_target(options.target, options.overwrite, [])
    _check_packages(options.chosen)
    file = resolve(options.model, options.scale, progress)
    check_target(options.target, options.overwrite, [file.path])
    checkpoint = load_checkpoint(file.path)
    form = _form(checkpoint.network, options)
    with atomic_write(options.target, options.overwrite) as temporary:
        difference = _write(options.chosen, form, checkpoint, temporary)
        size = temporary.stat().st_size
    shapes = form.shapes if form else ()
    name = options.chosen.name
    target = str(options.target)
    checked = (shapes, difference, file.notes)
    return Exported(target, name, file.name, file.scale, size, options.tile, *checked, str(file.path), file.sha256)


def write_authors(network: ESRT, path: Path) -> None:
    """Write a plain state_dict with the names of the authors' code (https://github.com/luissen/ESRT) by torch.save.

    The authors' code loads it strictly, and torch with weights_only.
    """
    state = network.state_dict()
    write_pickled({authors_name(name): tensor.contiguous() for name, tensor in state.items()}, path)


_PROGRAM_WRITERS = {"onnx": write_onnx, "pt2": write_pt2}


def _check_packages(chosen: ExportFormat) -> None:
    missing = [name for name in chosen.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise OptionError(f'--format {chosen.name} needs {", ".join(missing)}: pip install ".[export]"')


def _form(network: ESRT, options: ExportOptions) -> Form | None:
    """Return the form of the program, None if only weights are written."""
    if not options.chosen.is_program:
        return None
    return whole_form(network) if options.tile is None else tile_form(network, options.tile)


def _write(chosen: ExportFormat, form: Form | None, checkpoint: Checkpoint, path: Path) -> float:
    if form is not None:
        return _PROGRAM_WRITERS[chosen.name](form, checkpoint.metadata, path)
    if chosen.name == "authors":
        write_authors(checkpoint.network, path)
    else:
        path.write_bytes(checkpoint_bytes(checkpoint.network, path.name, checkpoint.metadata))
    _check_weights(checkpoint.network, path)
    return 0.0


def _check_weights(network: ESRT, path: Path) -> None:
    """Read written weights back.

    Raises: WeightsError if a number differs.
    """
    found = load_checkpoint(path).network.state_dict()
    for name, tensor in network.state_dict().items():
        if not found[name].equal(tensor):
            raise WeightsError(f"{name} was not written correctly; nothing was kept, check the disk and try again")
