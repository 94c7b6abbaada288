"""Read the header of a safetensors file: names, shapes and metadata, without torch and without the numbers.

What a weights file says about itself, as the strings of a safetensors header.

The ends of weights files' names.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from esrt_core.errors import WeightsError
from esrt_core.weights.detect import Configuration, Shapes, read_configuration

FORMAT_VERSION = 1
ARCHITECTURE = "ESRT"


@dataclass(frozen=True)
class CheckpointMetadata:
    """Describe one weights file.

    `kind` is `clean`, `photo` or a user's own word. `training` sums up the run (command, steps, hours, hardware ...),
    `psnr` maps the name of a test set to dB on Y, `card` is free text for people.
    """

    scale: int
    channels: int = 32
    blocks: int = 3
    kind: str = "custom"
    training: Mapping[str, str | int | float] = field(default_factory=dict)
    training_data: str = ""
    licence: str = ""
    psnr: Mapping[str, float] = field(default_factory=dict)
    card: str = ""

    def to_strings(self) -> dict[str, str]:
        """Return the header's entries; from_strings() reads them back."""
        return {
            "format_version": str(FORMAT_VERSION),
            "architecture": ARCHITECTURE,
            "scale": str(self.scale),
            "configuration": json.dumps({"channels": self.channels, "blocks": self.blocks}),
            "kind": self.kind,
            "training": json.dumps(dict(self.training)),
            "training_data": self.training_data,
            "licence": self.licence,
            "psnr": json.dumps(dict(self.psnr)),
            "card": self.card,
        }


def from_strings(entries: Mapping[str, str], name: str) -> CheckpointMetadata | None:
    """Read a header's entries; None when they are not this program's.

    Raises WeightsError, naming the file `name`, for another architecture, a newer format or entries that do not parse.
    """
    if "format_version" not in entries:
        return None
    architecture = entries.get("architecture")
    if architecture != ARCHITECTURE:
        raise WeightsError(f"{name} says that it holds {architecture or 'no architecture'}, not {ARCHITECTURE}")
    version = entries["format_version"]
    if not version.isdecimal() or int(version) > FORMAT_VERSION:
        raise WeightsError(
            f"{name} has format version {version}, this program knows up to {FORMAT_VERSION}; update esrt to use it"
        )
    try:
        configuration = json.loads(entries["configuration"])
        return CheckpointMetadata(
            scale=int(entries["scale"]),
            channels=int(configuration["channels"]),
            blocks=int(configuration["blocks"]),
            kind=entries.get("kind", "custom"),
            training=dict(json.loads(entries.get("training", "{}"))),
            training_data=entries.get("training_data", ""),
            licence=entries.get("licence", ""),
            psnr={key: float(value) for key, value in json.loads(entries.get("psnr", "{}")).items()},
            card=entries.get("card", ""),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{name} has damaged metadata ({type(error).__name__}: {error}); make it again") from error


MAX_BYTES = 256 * 2**20  # the largest network that configuration.py admits has about 190 MB


@dataclass(frozen=True)
class Header:
    """Hold what a weights file says without its numbers."""

    shapes: Shapes
    metadata: CheckpointMetadata


def check_file(path: Path) -> None:
    """Raise WeightsError unless the path is a readable, non-empty file of a sensible size."""
    try:
        if path.is_dir():
            raise WeightsError(f"{path} is a folder; expected a weights file")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise WeightsError(f"{path} does not exist; expected a weights file (.safetensors or .pth)") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    if size == 0:
        raise WeightsError(f"{path} is empty; expected a weights file")
    if size > MAX_BYTES:
        raise WeightsError(f"{path} has {size:,} bytes; no ESRT file has more than {MAX_BYTES:,}")


@contextmanager
def open_safetensors(path: Path, framework: Literal["numpy", "pt"]) -> Iterator[Any]:
    """Open a safetensors file; whatever is wrong with its form becomes one WeightsError."""
    check_file(path)
    try:
        with safe_open(path, framework) as file:
            yield file
    except SafetensorError as error:
        size = path.stat().st_size
        if "file not fully covered" in str(error) or "InvalidOffset" in str(error):
            problem = f"is cut off or damaged: it has {size:,} bytes, not as many as its header describes"
        else:
            problem = f"is not a safetensors file, or its header is damaged ({_cause(error)})"
        raise WeightsError(f"{path} {problem}; download or make it again") from error


def _cause(error: SafetensorError) -> str:
    """Return the last part of the library's message, which is the one that says what is wrong."""
    return str(error).splitlines()[0].rpartition(": ")[2]


def read_header(path: Path) -> Header:
    """Return the shapes and the metadata of a safetensors file, inferred from the shapes where it has none of ours.

    Raises WeightsError when the file is missing, damaged, not ESRT, or contradicts its own metadata.
    """
    with open_safetensors(path, "numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
        entries: dict[str, str] = file.metadata() or {}
    return Header(shapes, describe(shapes, entries, str(path)))


def describe(shapes: Shapes, entries: dict[str, str], name: str) -> CheckpointMetadata:
    """Return the metadata in `entries`, checked against the shapes, or what the shapes alone show."""
    found = read_configuration(shapes, name)
    metadata = from_strings(entries, name)
    if metadata is None:
        return CheckpointMetadata(found.scale, found.channels, found.blocks)
    said = Configuration(metadata.scale, metadata.channels, metadata.blocks)
    if said != found:
        raise WeightsError(f"{name} says that it holds {said}, but its tensors are those of {found}")
    return metadata


def scale_of(path: Path) -> int:
    """Return the scale of a safetensors file, read off its shapes."""
    return read_header(path).metadata.scale


PICKLED = (".pth", ".pt")
SUFFIXES = (".safetensors", *PICKLED)
