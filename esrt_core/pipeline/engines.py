"""Engines: the networks of one model, each loaded once and used for every picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esrt_core.engine.options import EngineOptions
from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.store import WeightsFile, find_model, resolve

if TYPE_CHECKING:  # torch is imported when the first network is needed, so that refusals come at once
    from esrt_core.engine.upscaler import Upscaler


class Engines:
    """Hold the upscalers of one model, made when they are first asked for.

    `scales` are those that one pass can have; `notes` is what was noticed while the weights were found. `progress` is
    told of downloads. Raise WeightsError when there is no such model.
    """

    def __init__(
        self,
        model: str = "auto",
        options: EngineOptions = EngineOptions(),  # noqa: B008 (frozen)
        progress: ProgressCallback = ignore_progress,
    ) -> None:
        self.model = model
        self.options = options
        found = find_model(model, progress)
        self.scales = found.scales
        self.notes = list(found.notes)
        self._progress = progress
        self._upscalers: dict[int, Upscaler] = {}

    def weights(self, scale: int) -> WeightsFile:
        """Return the verified weights file of a scale."""
        return resolve(self.model, scale, self._progress)

    def upscaler(self, scale: int) -> Upscaler:
        """Return the upscaler of a scale; raise WeightsError or DeviceError when it cannot be made."""
        if scale not in self._upscalers:
            from esrt_core.engine.upscaler import Upscaler
            from esrt_core.weights.checkpoint import load_checkpoint

            file = self.weights(scale)
            self.notes.extend(file.notes)
            self._upscalers[scale] = Upscaler(load_checkpoint(file.path).network, self.options)
        return self._upscalers[scale]
