"""Times as people write them."""

import re
from fractions import Fraction

from esrt_core.errors import OptionError

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d{1,9})?)s?")


def parse_seconds(text: str, name: str) -> Fraction:
    """Return the exact seconds of a time such as 90, 10s, 1:30 or 0:01:30.5; `name` is the option's, for the error."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise OptionError(f"{name} {text} is no time; write seconds (90, 10s) or a clock (1:30, 0:01:30.5)")
    hours, minutes, seconds = found.groups()
    return Fraction(int(hours or 0)) * 3600 + Fraction(int(minutes or 0)) * 60 + Fraction(seconds)
