"""What a decoder complains about, with the times of the clip at which it did."""

import threading
from fractions import Fraction

_TOGETHER = 1.0  # seconds between complaints that are told as one


class DamageLog:
    """Gather complaints from the decoder's thread; `passed` tells how far the clip has been decoded."""

    def __init__(self, time_base: Fraction, ignored_before: int) -> None:
        self._time_base = time_base
        self._ignored_before = ignored_before
        self._tick = -1
        self._complaints: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def passed(self, tick: int) -> None:
        """Note that the frame of this tick came out of the decoder."""
        self._tick = tick

    def heard(self, message: str) -> None:
        """Take a complaint; those about what was decoded in an earlier run are known already."""
        if self._ignored_before and self._tick < self._ignored_before:
            return
        seconds = float(max(self._tick, 0) * self._time_base)
        with self._lock:
            self._complaints.append((seconds, message))

    def taken(self) -> tuple[str, ...]:
        """Return what was gathered since the last call, one line for every stretch of the clip."""
        with self._lock:
            complaints, self._complaints = self._complaints, []
        return tuple(_told(stretch) for stretch in _stretches(complaints))


def _stretches(complaints: list[tuple[float, str]]) -> list[list[tuple[float, str]]]:
    stretches: list[list[tuple[float, str]]] = []
    for complaint in complaints:
        if stretches and complaint[0] - stretches[-1][-1][0] <= _TOGETHER:
            stretches[-1].append(complaint)
        else:
            stretches.append([complaint])
    return stretches


def _told(stretch: list[tuple[float, str]]) -> str:
    begin, end = stretch[0][0], stretch[-1][0]
    when = f"near {begin:.2f} s" if begin == end else f"near {begin:.2f} s to {end:.2f} s"
    more = f" (and {len(stretch) - 1} more)" if len(stretch) > 1 else ""
    return f"{when}: {stretch[0][1]}{more}"
