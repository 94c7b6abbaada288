"""Engines: the networks of one model, each loaded once and used for every picture."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esrt_core.engine.options import EngineOptions
from esrt_core.pipeline.lineup import Lineup, Lineups, find_lineups
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.store import WeightsFile, resolve

if TYPE_CHECKING:  # torch is imported when the first network is needed, so that refusals come at once
    from esrt_core.engine.upscaler import Upscaler


@dataclass(frozen=True)
class Kit:
    """Hold the line-ups of a model and the verified files of its weights, by model and scale."""

    lineups: Lineups
    files: Mapping[tuple[str, int], WeightsFile]


class Engines:
    """Hold the upscalers of one model, made when they are first asked for.

    `lineups` says which weights a picture can get, `lineup` which of them these engines use. `notes` is what was
    noticed while the weights were found. `progress` is told of downloads. `kit` is used where it is given, and nothing
    looked for. Raise WeightsError when there is no such model.
    """

    def __init__(
        self,
        model: str = "auto",
        options: EngineOptions = EngineOptions(),  # noqa: B008 (frozen)
        progress: ProgressCallback = ignore_progress,
        kit: Kit | None = None,
    ) -> None:
        self.options = options
        self.lineups = find_lineups(model, progress) if kit is None else kit.lineups
        self.lineup = self.lineups.plain
        self.notes = list(self.lineups.notes)
        self._progress = progress
        self._kit = kit
        self._upscalers: dict[tuple[str, int], Upscaler] = {}

    @property
    def model(self) -> str:
        """The name of the weights that make the first pass."""
        return self.lineup.first

    @property
    def scales(self) -> tuple[int, ...]:
        """The scales that the first pass can have."""
        return self.lineup.scales

    def of(self, lineup: Lineup) -> Engines:
        """Return engines that use another line-up and share what is loaded with these."""
        engines = copy.copy(self)
        engines.lineup = lineup
        return engines

    def weights(self, scale: int, place: int = 0) -> WeightsFile:
        """Return the verified weights file of a pass: its scale, and its place in the chain."""
        model = self.lineup.model(place)
        return resolve(model, scale, self._progress) if self._kit is None else self._kit.files[model, scale]

    def upscaler(self, scale: int, place: int = 0) -> Upscaler:
        """Return the upscaler of a pass; raise WeightsError or DeviceError when it cannot be made."""
        key = (self.lineup.model(place), scale)
        if key not in self._upscalers:
            from esrt_core.engine.upscaler import Upscaler
            from esrt_core.weights.checkpoint import load_checkpoint

            file = self.weights(scale, place)
            self.notes.extend(file.notes)
            self._upscalers[key] = Upscaler(load_checkpoint(file.path).network, self.options)
        return self._upscalers[key]

    def load(self, passes: Iterable[int]) -> None:
        """Make the upscalers of a chain of passes; raise what upscaler() raises."""
        for place, scale in enumerate(passes):
            self.upscaler(scale, place)
