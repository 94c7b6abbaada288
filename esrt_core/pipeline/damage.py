"""What a decoder complains about, and where in the clip that is."""

import threading

from esrt_core.media.clip import ClipInfo
from esrt_core.media.clip_damage import damaged_stretches

_KEPT = 5
_SHORT = 0.5  # seconds by which a picture may be shorter than its clip


class DamageLog:
    """Gather complaints from the decoder's thread."""

    def __init__(self, ignored_before: int) -> None:
        self._tick = -1
        self._ignored_before = ignored_before
        self._complaints: list[str] = []
        self._lock = threading.Lock()

    def passed(self, tick: int) -> None:
        """Note that the frame of this tick came out of the decoder."""
        self._tick = tick

    def heard(self, message: str) -> None:
        """Take a complaint; those about what was decoded in an earlier run are known already."""
        if self._ignored_before and self._tick < self._ignored_before:
            return
        with self._lock:
            self._complaints.append(message)

    def taken(self) -> tuple[str, ...]:
        """Return the first complaints since the last call."""
        with self._lock:
            complaints, self._complaints = self._complaints, []
        return tuple(complaints[:_KEPT])


def told(clip: ClipInfo, complaints: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is wrong with a clip, one line each, with its times; nothing where the decoder did not complain."""
    if not complaints:
        return clip.damage
    stretches = damaged_stretches(clip)
    lines = [f"{_times(*stretch)}: {complaints[0]}" for stretch in stretches]
    timing = clip.video.timing
    end = float(timing.end * timing.time_base - clip.start)
    if float(clip.duration) - end > _SHORT and not clip.damage:
        lines.append(f"the picture ends at {end:.2f} s of {float(clip.duration):.2f} s")
    return (*clip.damage, *(lines or complaints[:1]))


def _times(begin: float, end: float) -> str:
    return f"at {begin:.2f} s" if begin == end else f"from {begin:.2f} s to {end:.2f} s"
