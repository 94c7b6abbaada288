"""Read the network's hyper-parameters off the shapes of its tensors. No torch."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from esrt_core.errors import WeightsError
from esrt_core.weights.authors import authors_name

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

MAX_CHANNELS = 256
MAX_BLOCKS = 32
PREFIX = "module."  # what DataParallel puts before every name

# Several tensors show the same number, so that one damaged tensor is reported as such and does not change the reading.
_CHANNELS = ("head.bias", "head.weight", "reduce.bias", "reduce.weight", "ltb.conv.bias")
_FIRST_STEP = ("up.steps.0.bias", "up.steps.0.weight", "tail.steps.0.bias", "tail.steps.0.weight")
_SECOND_STEP = ("up.steps.1.bias", "up.steps.1.weight", "tail.steps.1.bias", "tail.steps.1.weight")


@dataclass(frozen=True)
class Configuration:
    """Hold the hyper-parameters of a file: scale, channels and number of HPBs."""

    scale: int
    channels: int
    blocks: int

    def __str__(self) -> str:
        return f"ESRT x{self.scale} ({self.channels} channels, {self.blocks} blocks)"


def without_prefix(names: Iterable[str]) -> dict[str, str]:
    """Map names without DataParallel's prefix to the names in the file; a prefix counts only where all have it."""
    names = list(names)
    cut = len(PREFIX) if names and all(name.startswith(PREFIX) for name in names) else 0
    return {name[cut:]: name for name in names}


def read_configuration(shapes: Shapes, name: str) -> Configuration:
    """Return the configuration that the shapes show, under our names or the authors', with or without prefix.

    Raises WeightsError, naming the file `name`, when the tensors are not those of ESRT.
    """
    shapes = {short: shapes[full] for short, full in without_prefix(shapes).items()}
    channels = _vote(shapes, _CHANNELS)
    first = _vote(shapes, _FIRST_STEP)
    blocks = _count_blocks(shapes)
    if not channels or not first or not blocks:
        raise WeightsError(f"{name} is not ESRT: expected tensors such as 'head.weight', found {_sample(shapes)}")
    if channels % 16 or channels > MAX_CHANNELS or blocks > MAX_BLOCKS:
        raise WeightsError(
            f"{name} has {channels} channels and {blocks} blocks; expected a multiple of 16 up to {MAX_CHANNELS} "
            f"channels and up to {MAX_BLOCKS} blocks"
        )
    factor = math.isqrt(first // channels)
    scale = factor * factor if _vote(shapes, _SECOND_STEP) else factor
    if channels * factor * factor != first or scale not in (2, 3, 4):
        raise WeightsError(f"{name} enlarges by no known scale: its upsampler has {first} channels from {channels}")
    return Configuration(scale, channels, blocks)


def _find(shapes: Shapes, ours: str) -> Shape | None:
    return shapes.get(ours) or shapes.get(authors_name(ours))


def _vote(shapes: Shapes, names: Iterable[str]) -> int:
    """Return the first dimension that most of the tensors show, 0 when none is there."""
    found = Counter(shape[0] for name in names if (shape := _find(shapes, name)))
    return found.most_common(1)[0][0] if found else 0


def _count_blocks(shapes: Shapes) -> int:
    numbers = [re.match(r"(?:lcb\.hpb\.|body\.0\.encoder)(\d+)\.", name) for name in shapes]
    return len({match[0] for match in numbers if match})


def _sample(shapes: Shapes) -> str:
    if not shapes:
        return "no tensors"
    names = ", ".join(f"'{name}'" for name in list(shapes)[:3])
    return f"{len(shapes)} tensors such as {names}"
