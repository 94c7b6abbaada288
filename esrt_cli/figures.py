"""Write numbers for people: counts with their nouns, times, rates and sizes, never in scientific notation."""

import math

_IRREGULAR = {"bytes": "byte", "patches": "patch"}
MINUTE = 60
HOUR = 3600


def counted(number: int, plural: str) -> str:
    """Return a count with its noun, given in the plural: 1 picture, 2 pictures."""
    return f"{number:,} {singular(plural) if number == 1 else plural}"


def singular(plural: str) -> str:
    """Return the singular of a regular English plural."""
    return _IRREGULAR.get(plural, plural.removesuffix("s"))


def figure(value: float) -> str:
    """Return a number of at least two significant digits without an exponent: 0.12, 1.2, 12, 1,234."""
    if value <= 0 or not math.isfinite(value):
        return "0"
    digits = 1 - math.floor(math.log10(value) + 0.0022)  # 0.995 and more is rounded up to the next power
    return f"{value:,.{max(digits, 0)}f}"


def rate(per_second: float, unit: str = "") -> tuple[str, str]:
    """Return a rate in words and in short, by the second, minute or hour, so that it is at least one if it can be.

    1.2 pictures per second and 1.2/s; 0.01 a second is 36 per hour and 36/h.
    """
    periods = (("second", "s", 1), ("minute", "min", MINUTE), ("hour", "h", HOUR))
    name, short, seconds = next((each for each in periods if per_second * each[2] >= 1), periods[-1])
    if per_second * HOUR < 0.01:
        name, short, seconds = periods[0]
    number = figure(per_second * seconds)
    words = f"{number} {unit} per {name}" if unit else f"{number} per {name}"
    return words, f"{number}/{short}"


def duration(seconds: float) -> str:
    """Return seconds as text: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"


def expected(seconds: float | None) -> str:
    """Return the time of work that has not begun; None is work too short to be measured."""
    if seconds is None or seconds < MINUTE - 5:
        return "under a minute"
    return f"about {duration(seconds)}"


def time_left(seconds: float) -> tuple[str, str]:
    """Return the time until the end in words and as a clock, at least 1 s: 4 min 10 s and 4:10."""
    whole = max(math.ceil(seconds), 1)
    hours, minutes, rest = whole // HOUR, whole % HOUR // MINUTE, whole % MINUTE
    clock = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return (f"{whole} s" if whole < MINUTE else duration(whole)), clock


def size(count: float) -> str:
    """Return a number of bytes as text: 512 bytes, 1.5 MB."""
    if count < 1000:
        return counted(round(count), "bytes")
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.5:
            return f"{figure(value)} {unit}"
    return f"{figure(value / 1000)} TB"
