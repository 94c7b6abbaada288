"""Compute the size of a result and the cheapest chain of network passes that reaches it.

Only integers and fractions: a size never depends on floating-point rounding.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache

from esrt_core.architecture import PASS_COST
from esrt_core.errors import OptionError

MAX_FACTOR = 16
DEFAULT_FACTOR = 4
INTERMEDIATE_DEPTH = 16  # bits of an 8-bit frame that will be rounded again

Number = int | float | str | Decimal | Fraction


class AlreadyLargeError(OptionError):
    """Report that a picture is already as large as requested."""


@dataclass(frozen=True)
class SizeRequest:
    """Request the size of a result in at most one way; without any, the weights' own scale applies.

    factor            of both sides, from 1 (clean up at the same size) to 16
    width, height     px; together, the box that the result must fit into
    longest           px of the longer side
    megapixels        million px of the result

    Raises: OptionError if a value is not positive, a factor is out of range, or several ways are given.
    """

    factor: Fraction | None = None
    width: int | None = None
    height: int | None = None
    longest: int | None = None
    megapixels: Fraction | None = None

    def __post_init__(self) -> None:
        for name in ("width", "height", "longest", "megapixels"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise OptionError(f"--{name} must be above 0, not {decimal_text(value)}")
        ways = (self.factor, self.width or self.height, self.longest, self.megapixels)
        if sum(way is not None for way in ways) > 1:
            raise OptionError("use only one of --scale, --width with --height, --longest and --megapixels")
        if self.factor is not None:
            check_factor(self.factor)

    @property
    def cleans_up(self) -> bool:
        """Whether the result has the size of the source: it is enlarged and reduced again."""
        return self.factor == 1

    @property
    def is_in_pixels(self) -> bool:
        """Whether a size in px is requested, so that every picture has its own factor."""
        return bool(self.width or self.height or self.longest or self.megapixels)

    def suffix(self, scales: Sequence[int]) -> str:
        """Return the size as it appears in a result's name: x4, x2.5, 3000w, 1080h, 3000x2000, 4000l, 12mp."""
        if self.width and self.height:
            return f"{self.width}x{self.height}"
        if self.width or self.height:
            return f"{self.width}w" if self.width else f"{self.height}h"
        if self.longest:
            return f"{self.longest}l"
        if self.megapixels:
            return f"{decimal_text(self.megapixels)}mp"
        return f"x{decimal_text(self.factor or own_factor(scales))}"


@dataclass(frozen=True)
class SizePlan:
    """Hold the scale of every pass and the final size in px.

    `resample` is true if the passes overshoot and a reduction to the final size follows.
    """

    passes: tuple[int, ...]
    width: int
    height: int
    resample: bool

    def depth_between(self, depth: int) -> int:
        """Return the bit depth between passes: 16 instead of 8 if the frame is rounded again after the first pass."""
        return INTERMEDIATE_DEPTH if depth == 8 and (len(self.passes) > 1 or self.resample) else depth

    def entering(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """Return the (width, height) in px of the input of every pass, for a source of the given size."""
        grown = [math.prod(self.passes[:index]) for index in range(len(self.passes))]
        return tuple((width * factor, height * factor) for factor in grown)


def exact(number: Number, name: str) -> Fraction:
    """Return a number exactly as written: "1.1" and 1.1 are both eleven tenths.

    Raises: OptionError if it is not a finite number between 1e-30 and 1e30; the message names it `name`.
    """
    if isinstance(number, Fraction):
        return number
    try:
        value = Decimal(str(number))
    except ArithmeticError as error:
        raise OptionError(f"{name} must be a number, not {number!r}") from error
    if not value.is_finite() or abs(value.adjusted()) > 30:
        raise OptionError(f"{name} must be a finite number between 1e-30 and 1e30, not {number}")
    return Fraction(value)


def decimal_text(number: Fraction | int) -> str:
    """Return a number in decimal digits, without an exponent or trailing zeros."""
    value = Fraction(number)
    return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"


def half_up(value: Fraction) -> int:
    """Round to the nearest integer, halves upwards."""
    return math.floor(value + Fraction(1, 2))


def check_factor(factor: Fraction) -> None:
    """Raise OptionError unless a factor is from 1 to MAX_FACTOR."""
    if not 1 <= factor <= MAX_FACTOR:
        raise OptionError(f"scale must be at least 1 and at most {MAX_FACTOR}, not {decimal_text(factor)}")


def own_factor(scales: Sequence[int]) -> int:
    """Return the default factor: 4 if the weights have that scale, else their largest."""
    return DEFAULT_FACTOR if DEFAULT_FACTOR in scales else max(scales)


def plan_size(
    request: SizeRequest, width: int, height: int, scales: Sequence[int], later: Sequence[int] | None = None
) -> SizePlan:
    """Return the final size for a source of (width, height) px and the cheapest passes that reach it.

    The first pass has one of `scales`, the others one of `later` (default: `scales`). Sides are side x factor, halves
    rounded up.

    Raises: AlreadyLargeError if the result would be no larger than the source (unless the factor is 1), OptionError if
    it would be more than MAX_FACTOR times larger or cannot be reached with these scales.
    """
    target = target_size(request, width, height, scales)
    if target[0] <= width and target[1] <= height and not request.cleans_up:
        raise AlreadyLargeError(
            f"already {width} x {height} px, at least as large as the requested {target[0]} x {target[1]} px; "
            "request a larger size"
        )
    factor = max(Fraction(target[0], width), Fraction(target[1], height))
    check_factor(factor)
    # A side of a few px can round far up or down, so a requested factor takes precedence over the rounded one.
    passes = cheapest_chain(request.factor or factor, scales, later)
    total = math.prod(passes)
    return SizePlan(passes, *target, resample=target != (total * width, total * height))


def target_size(request: SizeRequest, width: int, height: int, scales: Sequence[int]) -> tuple[int, int]:
    """Return the (width, height) in px of the result for a source of (width, height) px."""
    if request.megapixels is not None:
        pixels = request.megapixels * 1_000_000
        return _half_up_root(pixels * Fraction(width, height)), _half_up_root(pixels * Fraction(height, width))
    bounds = [Fraction(request.width, width)] if request.width else []
    bounds += [Fraction(request.height, height)] if request.height else []
    bounds += [Fraction(request.longest, max(width, height))] if request.longest else []
    factor = min(bounds, default=request.factor or Fraction(own_factor(scales)))
    return max(half_up(width * factor), 1), max(half_up(height * factor), 1)


def cheapest_chain(factor: Fraction, scales: Sequence[int], later: Sequence[int] | None = None) -> tuple[int, ...]:
    """Return the passes whose product is at least `factor` and at most MAX_FACTOR, at the lowest cost.

    The first is one of `scales`, the others are of `later` (default: `scales`).

    Raises: OptionError if no chain reaches the factor.
    """
    chains = _chains_by_cost(tuple(scales), tuple(scales if later is None else later))
    found = next((chain for total, chain in chains if total >= factor), None)
    if found is None:
        most = max(total for total, _ in chains)
        names = " and ".join(f"x{scale}" for scale in scales)
        raise OptionError(f"weights of {names} reach a factor of at most {most}, not {decimal_text(factor)}")
    return found


def chain_cost(passes: Sequence[int]) -> int:
    """Return the multiply-adds per source pixel; every pass runs on the output of the one before."""
    cost, area = 0, 1
    for scale in passes:
        cost += area * PASS_COST[scale]
        area *= scale * scale
    return cost


@cache
def _chains_by_cost(scales: tuple[int, ...], later: tuple[int, ...]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Return the products and passes of all chains, the cheapest first: a folder asks for every picture of it."""
    chains = sorted(_chains(scales, later, MAX_FACTOR), key=lambda chain: (chain_cost(chain), len(chain)))
    return tuple((math.prod(chain), chain) for chain in chains)


def _chains(scales: tuple[int, ...], later: tuple[int, ...], limit: int) -> Iterator[tuple[int, ...]]:
    for scale in scales:
        if scale <= limit:
            yield (scale,)
            yield from ((scale, *rest) for rest in _chains(later, later, limit // scale))


def _half_up_root(square: Fraction) -> int:
    """Return the square root rounded half up, without floats: floor(sqrt(q) + 1/2) = floor((sqrt(4q) + 1) / 2)."""
    return max((math.isqrt(math.floor(4 * square)) + 1) // 2, 1)
