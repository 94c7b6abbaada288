"""The header of a weights file: read names, shapes and metadata without torch and without loading the tensors."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from esrt_core.decoding import DecodeError, decode_json
from esrt_core.errors import WeightsError
from esrt_core.files import display_text
from esrt_core.weights.detect import Configuration, Shapes, read_configuration

FORMAT_VERSION = 1
ARCHITECTURE = "ESRT"
MAX_BYTES = 256 * 2**20  # of a file; 64 channels and 32 blocks take 69 MB in float32, the published network 3
PICKLED = (".pth", ".pt")
SUFFIXES = (".safetensors", *PICKLED)


@dataclass(frozen=True)
class CheckpointMetadata:
    """Describe one weights file.

    `kind` is `clean`, `photo`, `drawing` or a word of the user's. `training` summarizes the run (command, steps, hours,
    hardware, ...), `psnr` maps the name of a test set to dB on Y, `card` is free text for users.
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
        """Return the entries of the header; from_strings() reads them back."""
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


@dataclass(frozen=True)
class Header:
    """Hold the shapes and the metadata of a weights file."""

    shapes: Shapes
    metadata: CheckpointMetadata


def read_header(path: Path) -> Header:
    """Return the shapes and the metadata of a safetensors file, inferred from the shapes if it has none of ours.

    Raises: WeightsError if the file is missing, damaged, not ESRT, or contradicts its own metadata.
    """
    with open_safetensors(path) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
        entries: dict[str, str] = file.metadata() or {}
    return Header(shapes, describe(shapes, entries, str(path)))


def scale_of(path: Path) -> int:
    """Return the scale of a safetensors file.

    Raises: WeightsError as read_header() does.
    """
    return read_header(path).metadata.scale


def describe(shapes: Shapes, entries: dict[str, str], name: str) -> CheckpointMetadata:
    """Return the metadata in `entries`, checked against the shapes, or metadata inferred from the shapes.

    Raises: WeightsError if the shapes are not ESRT's or contradict the metadata.
    """
    found = read_configuration(shapes, name)
    metadata = from_strings(entries, name)
    if metadata is None:
        return CheckpointMetadata(found.scale, found.channels, found.blocks)
    declared = Configuration(metadata.scale, metadata.channels, metadata.blocks)
    if declared != found:
        raise WeightsError(f"the metadata of {name} describes {declared}, but its tensors are those of {found}")
    return metadata


def from_strings(entries: Mapping[str, str], name: str) -> CheckpointMetadata | None:
    """Parse the entries of a header; return None if they are not this program's.

    Raises: WeightsError, naming the file `name`, for another architecture, a newer format or damaged entries.
    """
    if "format_version" not in entries:
        return None
    architecture = entries.get("architecture")
    if architecture != ARCHITECTURE:
        found = display_text((architecture or "no architecture")[:60])
        raise WeightsError(f"the metadata of {name} names {found}, not {ARCHITECTURE}")
    version = entries["format_version"]
    if not version.isdecimal() or len(version) > 9 or int(version) > FORMAT_VERSION:
        raise WeightsError(
            f"{name} has format version {display_text(version[:20])}, this program supports up to {FORMAT_VERSION}; "
            "update esrt to use it"
        )
    try:
        return _decode(entries)
    except DecodeError as error:
        raise WeightsError(f"{name} has damaged metadata ({error}); create it again") from error


@dataclass(frozen=True)
class _Size:
    channels: int
    blocks: int


def _decode(entries: Mapping[str, str]) -> CheckpointMetadata:
    """Return the metadata in the entries of a header. Raises DecodeError if they are damaged."""
    size = decode_json(entries.get("configuration", ""), _Size)
    training = decode_json(entries.get("training", "{}"), dict[str, Any])
    return CheckpointMetadata(
        scale=decode_json(entries.get("scale", ""), int),
        channels=size.channels,
        blocks=size.blocks,
        kind=entries.get("kind", "custom"),
        training={key: value for key, value in training.items() if isinstance(value, str | int | float)},
        training_data=entries.get("training_data", ""),
        licence=entries.get("licence", ""),
        psnr=decode_json(entries.get("psnr", "{}"), dict[str, float]),
        card=entries.get("card", ""),
    )


def check_file(path: Path) -> None:
    """Check that a path is a readable file, not empty and not larger than MAX_BYTES.

    Raises: WeightsError if it is not.
    """
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
        raise WeightsError(f"{path} has {size:,} bytes; weights may have up to {MAX_BYTES:,}")


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file.

    Raises: WeightsError if it is missing or damaged.
    """
    check_file(path)
    try:
        with safe_open(path, "numpy") as file:
            yield file
    except SafetensorError as error:
        size = path.stat().st_size
        if "file not fully covered" in str(error) or "InvalidOffset" in str(error):
            problem = f"is truncated or damaged: its {size:,} bytes do not match its header"
        else:
            problem = f"is not a safetensors file, or its header is damaged ({_cause(error)})"
        raise WeightsError(f"{path} {problem}; download or create it again") from error


def _cause(error: SafetensorError) -> str:
    """Return the last part of the library's message, which names the problem and may quote the file."""
    return display_text(str(error).splitlines()[0].rpartition(": ")[2])
