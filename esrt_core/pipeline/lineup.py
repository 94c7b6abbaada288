"""Lineup: which weights make the passes of a picture; by what its file has lost, where the user leaves it to us."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from esrt_core.progress import ProgressCallback, ignore_progress
from esrt_core.weights.store import Model, find_model

AUTO, CLEAN, PHOTO = "auto", "clean", "photo"


@dataclass(frozen=True)
class Lineup:
    """Name the model of the first pass and that of the later ones, and the scales that each can have.

    A pass makes its own input for the next one, which is no damaged photo any more: after `photo` comes `clean`.
    `reason` says why it was chosen, where we chose.
    """

    first: str
    scales: tuple[int, ...]
    later: str
    later_scales: tuple[int, ...]
    reason: str = ""

    def model(self, place: int) -> str:
        """Return the model of a pass; `place` counts from 0."""
        return self.later if place else self.first

    def passes(self) -> Iterator[tuple[int, int]]:
        """Yield the (place, scale) of every pass that a picture may take; all later places have the same weights."""
        yield from ((0, scale) for scale in self.scales)
        yield from ((1, scale) for scale in self.later_scales)


def alone(model: str, scales: Sequence[int]) -> Lineup:
    """Return the line-up of one model that makes all passes."""
    return Lineup(model, tuple(scales), model, tuple(scales))


@dataclass(frozen=True)
class Lineups:
    """Hold what a model's name offers: the plain line-up, and with `auto` another for pictures that lost something.

    `notes` says what the user should know of finding the weights.
    """

    asked: str
    plain: Lineup
    damaged: Lineup | None = None
    notes: tuple[str, ...] = ()

    def all(self) -> tuple[Lineup, ...]:
        """Return every line-up that a picture may get."""
        return (self.plain,) if self.damaged is None else (self.plain, self.damaged)

    def choose(self, loss: str | None) -> Lineup:
        """Return the line-up of a picture; `loss` says what its compression took, None where that is nothing."""
        if self.damaged is None:
            return self.plain
        return (
            replace(self.plain, reason="little or nothing lost") if loss is None else replace(self.damaged, reason=loss)
        )


def find_lineups(model: str, progress: ProgressCallback = ignore_progress) -> Lineups:
    """Return the line-ups of a model; only an address is downloaded for that. Raise WeightsError for an unknown one."""
    found = find_model(model, progress)
    if model == PHOTO:
        return Lineups(model, _photo(found), notes=found.notes)
    plain = alone(CLEAN if model == AUTO else model, found.scales)
    return Lineups(model, plain, _photo(find_model(PHOTO)) if model == AUTO else None, found.notes)


def _photo(found: Model) -> Lineup:
    return Lineup(PHOTO, found.scales, CLEAN, find_model(CLEAN).scales)
