"""Detect a network's hyperparameters from its tensors' names and shapes, with our names or the authors', without torch.

The authors' names are those of their published code (https://github.com/luissen/ESRT).
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from esrt_core.architecture import SCALES
from esrt_core.errors import WeightsError

MAX_CHANNELS = 256
MAX_BLOCKS = 32
PREFIX = "module."  # added by DataParallel to every name

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

# Several tensors show the same number, so that one damaged tensor is reported as such and does not change the result.
_CHANNELS = ("head.bias", "head.weight", "reduce.bias", "reduce.weight", "ltb.conv.bias")
_FIRST_STEP = ("up.steps.0.bias", "up.steps.0.weight", "tail.steps.0.bias", "tail.steps.0.weight")
_SECOND_STEP = ("up.steps.1.bias", "up.steps.1.weight", "tail.steps.1.bias", "tail.steps.1.weight")

_ARFB = {
    "enc": "encoder",
    "low": "decoder_low",
    "high": "decoder_high",
    "out": "alise",
}
_RULES: list[
    tuple[str, str | Callable[[re.Match[str]], str]]
] = [  # (ours, theirs), applied in order; a pattern matches whole dotted parts
    (r"^head\.", "head.0."),
    (r"^tail\.last\.", "tail.1."),
    (r"^up\.last\.", "up.1.conv."),
    (r"^(tail|up)\.steps\.0\.", r"\1.0.0."),
    (r"^(tail|up)\.steps\.1\.", r"\1.0.2."),
    (r"^a([12])$", r"body.0.weight\1.scale"),
    (r"^ltb\.reduce\.", "body.0.reduce."),
    (r"^ltb\.conv\.", "body.0.alise."),
    (r"^ltb\.et\.emha\.expand\.", "body.0.attention.atten.proj."),
    (r"^ltb\.et\.emha\.", "body.0.attention.atten."),
    (r"^ltb\.et\.", "body.0.attention."),
    (r"^lcb\.hpb\.(\d+)\.", lambda m: f"body.0.encoder{int(m[1]) + 1}."),
    (r"\.(arfb_\w+)\.conv\.", r".\1.layer4.conv."),
    (r"\.arfb_(enc|low|high|out)\.", lambda m: f".{_ARFB[m[1]]}."),
    (r"(encoder\d+)\.fuse\.", r"\1.alise2.conv."),
    (r"(encoder\d+)\.ca\.down\.", r"\1.att.conv_du.0."),
    (r"(encoder\d+)\.ca\.up\.", r"\1.att.conv_du.2."),
    (r"\.fuse\.", ".alise.conv."),
    (r"\.ca\.down\.", ".atten.conv_du.0."),
    (r"\.ca\.up\.", ".atten.conv_du.2."),
    (r"\.l([1-5])$", r".weight\1.scale"),
    (r"\.ru([12])\.act\.", r".layer\1.relu."),
    (r"\.ru([12])\.m([12])$", r".layer\1.weight\2.scale"),
    (r"\.ru([12])\.reduce\.", r".layer\1.conv."),
    (r"\.ru([12])\.expand\.", r".layer\1.conv1."),
]


@dataclass(frozen=True)
class Configuration:
    """Hold the hyperparameters of a network: scale, channels and number of HPBs."""

    scale: int
    channels: int
    blocks: int

    def __str__(self) -> str:
        return f"ESRT x{self.scale} ({self.channels} channels, {self.blocks} blocks)"


def read_configuration(shapes: Shapes, name: str) -> Configuration:
    """Return the configuration that follows from the shapes, with our names or the authors', with or without prefix.

    Raises: WeightsError, naming the file `name`, if the tensors are not those of ESRT.
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
    if channels * factor * factor != first or scale not in SCALES:
        raise WeightsError(f"{name} has an unknown scale: its upsampler makes {first} channels from {channels}")
    return Configuration(scale, channels, blocks)


def authors_name(name: str) -> str:
    """Return the name of one of our parameters in the authors' code."""
    if name.startswith("reduce."):
        return name
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name


def our_names(names: Iterable[str]) -> dict[str, str]:
    """Map the authors' names to ours."""
    return {authors_name(name): name for name in names}


def without_prefix(names: Iterable[str]) -> dict[str, str]:
    """Map names without DataParallel's prefix, removed only if all have it, to the names in the file."""
    names = list(names)
    cut = len(PREFIX) if names and all(name.startswith(PREFIX) for name in names) else 0
    return {name[cut:]: name for name in names}


def _find(shapes: Shapes, ours: str) -> Shape | None:
    return shapes.get(ours) or shapes.get(authors_name(ours))


def _vote(shapes: Shapes, names: Iterable[str]) -> int:
    """Return the most common first dimension of the tensors, 0 if there are none."""
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
