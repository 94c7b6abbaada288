"""What a result depends on besides its picture, as the manifest keys it: the options as asked and the weights."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from esrt_core.media.picture import ReadLimits
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_options import FolderOptions
from esrt_core.pipeline.lineup import Lineup
from esrt_core.pipeline.sizes import SizeRequest, cheapest_chain, decimal_text, own_factor
from esrt_core.weights.store import WeightsFile


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
        "weights": {name: file.sha256 for name, file in weights_needed(asked.size, engines).items()},
        "precision": asked.engine.precision,
        "tile": asked.engine.tile,
        "tta": asked.engine.tta,
        "encode": asdict(asked.encode),
        "compare": asked.compare,
        "name": options.name,
    }
    text = json.dumps(described, sort_keys=True)
    return FolderJob(hashlib.sha256(text.encode()).hexdigest()[:16], described)


def weights_needed(size: SizeRequest, engines: Engines) -> dict[str, WeightsFile]:
    """Return the weights that may be used, by kind and scale; raise OptionError for a factor out of their reach."""
    files = {}
    for kind, lineup in zip(("plain", "damaged"), engines.lineups.all(), strict=False):
        for place, scale in _passes_needed(size, lineup):
            files[f"{kind} {'later' if place else 'first'} x{scale}"] = engines.of(lineup).weights(scale, place)
    return files


def _passes_needed(size: SizeRequest, lineup: Lineup) -> Iterator[tuple[int, int]]:
    """Yield (place, scale) of the passes that a picture may take."""
    if size.asks_side:
        yield from lineup.passes()
    else:
        factor = size.factor or Fraction(own_factor(lineup.scales))
        yield from enumerate(cheapest_chain(factor, lineup.scales, lineup.later_scales))


def limits_text(limits: ReadLimits) -> str:
    """Return what is accepted, as a failure notes it."""
    return f"{limits.max_pixels}{' truncated' if limits.allow_truncated else ''}"
