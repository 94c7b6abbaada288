"""What a weights file says about itself, as the strings of a safetensors header."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from esrt_core.errors import WeightsError

FORMAT_VERSION = 1
ARCHITECTURE = "ESRT"


@dataclass(frozen=True)
class CheckpointMetadata:
    """Describe one weights file.

    `kind` is `clean`, `photo`, `drawing` or a user's own word. `training` sums up the run (command, steps, hours ...),
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
