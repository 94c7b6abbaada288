"""What a result depends on besides its picture, as the manifest keys it: the options as asked and the weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from esrt_core.media.picture import ReadLimits
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_options import FolderOptions
from esrt_core.pipeline.sizes import SizeRequest, cheapest_chain, decimal_text, own_factor


@dataclass(frozen=True)
class FolderJob:
    """Hold the options that decide a result's bytes, and their id."""

    id: str
    options: Mapping[str, Any]


def job_of(options: FolderOptions, engines: Engines) -> FolderJob:
    """Return the key of a command: neither the device nor what only selects pictures is a part of it."""
    asked = options.upscale
    size = {name: decimal_text(value) for name, value in asdict(asked.size).items() if value is not None}
    described = {
        "size": size or {"factor": decimal_text(own_factor(engines.scales))},
        "format": asked.format,
        "weights": {f"x{scale}": engines.weights(scale).sha256 for scale in scales_needed(asked.size, engines)},
        "precision": asked.engine.precision,
        "tile": asked.engine.tile,
        "tta": asked.engine.tta,
        "encode": asdict(asked.encode),
        "compare": asked.compare,
        "name": options.name,
    }
    text = json.dumps(described, sort_keys=True)
    return FolderJob(hashlib.sha256(text.encode()).hexdigest()[:16], described)


def scales_needed(size: SizeRequest, engines: Engines) -> tuple[int, ...]:
    """Return the scales whose weights may be used; raise OptionError for a factor out of their reach."""
    if size.asks_side:
        return tuple(engines.scales)
    factor = size.factor or Fraction(own_factor(engines.scales))
    return tuple(sorted(set(cheapest_chain(factor, engines.scales))))


def limits_text(limits: ReadLimits) -> str:
    """Return what is accepted, as a failure notes it."""
    return f"{limits.max_pixels}{' truncated' if limits.allow_truncated else ''}"
