"""How large a result becomes, and the cheapest chain of network passes that reaches it. Integers and fractions only."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from esrt_core.errors import OptionError

MAX_FACTOR = 16
DEFAULT_FACTOR = 4
PRECISE = 16  # bits of a frame that is rounded again
# Million multiply-adds per pixel that enters the network, by scale: what a pass costs.
PASS_COST = {2: Fraction("0.70"), 3: Fraction("0.80"), 4: Fraction("1.02")}

Number = int | float | str | Decimal | Fraction


class AlreadyLargeError(OptionError):
    """Say that a picture is no smaller than what is asked."""


@dataclass(frozen=True)
class SizeRequest:
    """Say how large the result should be, in one way, or in none: then the weights' own scale counts.

    factor            of the sides, above 1 and at most 16
    width, height     px; together they are a box that the result fits into
    longest           px of the longer side
    megapixels        million px of the result
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
            raise OptionError("give one of --scale, --width with --height, --longest and --megapixels, not several")
        if self.factor is not None:
            check_factor(self.factor)

    @property
    def asks_side(self) -> bool:
        """Whether the result's size is asked, not a factor: then every picture has a factor of its own."""
        return bool(self.width or self.height or self.longest or self.megapixels)

    def suffix(self, scales: Sequence[int]) -> str:
        """Return what a result's name says of its size: x4, x2.5, 3000w, 1080h, 3000x2000, 4000l, 12mp."""
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
    """Hold the way to a size: the scale of every pass, then the final size in px.

    `resample` says that the passes overshoot, so that a reduction to the final size follows.
    """

    passes: tuple[int, ...]
    width: int
    height: int
    resample: bool

    def depth_between(self, depth: int) -> int:
        """Return the bits of a frame on its way: more than 8 where it is rounded again after a pass."""
        return PRECISE if depth == 8 and (len(self.passes) > 1 or self.resample) else depth

    def entering(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """Return the (width, height) in px that enters every pass, for a source of that size."""
        grown = [math.prod(self.passes[:index]) for index in range(len(self.passes))]
        return tuple((width * factor, height * factor) for factor in grown)


def exact(number: Number, name: str) -> Fraction:
    """Return a number as it is written: "1.1" and 1.1 are both eleven tenths. Raise OptionError where it is none."""
    if isinstance(number, Fraction):
        return number
    try:
        value = Decimal(str(number))
    except ArithmeticError as error:
        raise OptionError(f"{name} must be a number, not {number!r}") from error
    if not value.is_finite() or abs(value.adjusted()) > 30:
        raise OptionError(f"{name} must be a number of an ordinary size, not {number}")
    return Fraction(value)


def decimal_text(number: Fraction | int) -> str:
    """Return a number in decimal digits, without exponent and trailing zeros."""
    value = Fraction(number)
    return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"


def half_up(value: Fraction) -> int:
    """Round to the nearest integer, halves upwards."""
    return math.floor(value + Fraction(1, 2))


def check_factor(factor: Fraction) -> None:
    """Raise OptionError where a factor does not enlarge, or enlarges beyond MAX_FACTOR."""
    text = decimal_text(factor)
    if factor <= 1:
        raise OptionError(f"a factor of {text} does not enlarge; give one above 1, at most {MAX_FACTOR}")
    if factor > MAX_FACTOR:
        raise OptionError(f"a factor of {text} is beyond the largest, {MAX_FACTOR}")


def own_factor(scales: Sequence[int]) -> int:
    """Return the factor that counts where none is asked: 4 where it is one of the scales, else the largest."""
    return DEFAULT_FACTOR if DEFAULT_FACTOR in scales else max(scales)


def plan_size(
    request: SizeRequest, width: int, height: int, scales: Sequence[int], later: Sequence[int] | None = None
) -> SizePlan:
    """Return the final size for a source of (width, height) px and the cheapest passes that reach it.

    The first pass has one of `scales`, the others have those of `later`: the same ones, where it is not given. Sides
    are side x factor, halves rounded up. Raise OptionError where the result would be no larger than the source, more
    than MAX_FACTOR times larger, or out of reach for these scales.
    """
    target = target_size(request, width, height, scales)
    if target[0] <= width and target[1] <= height:
        raise AlreadyLargeError(
            f"the picture has {width} x {height} px and {target[0]} x {target[1]} px are asked: "
            "that does not enlarge it; ask for more, or leave it as it is"
        )
    factor = max(Fraction(target[0], width), Fraction(target[1], height))
    check_factor(factor)
    # A side of few px can round far up or down: the factor that was asked decides, where one was.
    passes = cheapest_chain(request.factor or factor, scales, later)
    total = math.prod(passes)
    return SizePlan(passes, *target, resample=target != (total * width, total * height))


def target_size(request: SizeRequest, width: int, height: int, scales: Sequence[int]) -> tuple[int, int]:
    """Return the (width, height) in px that a request means for a source of (width, height) px."""
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

    The first is one of `scales`, the others are of `later`: the same ones, where it is not given.
    """
    possible = list(_chains(tuple(scales), tuple(scales if later is None else later), MAX_FACTOR))
    chains = [chain for chain in possible if math.prod(chain) >= factor]
    if not chains:
        most = max(math.prod(chain) for chain in possible)
        names = " and ".join(f"x{scale}" for scale in scales)
        raise OptionError(f"weights of {names} reach a factor of {most} at most, not {decimal_text(factor)}")
    return min(chains, key=lambda chain: (chain_cost(chain), len(chain)))


def chain_cost(passes: Sequence[int]) -> Fraction:
    """Return million multiply-adds per source pixel: every pass works on the pixels that the ones before it made."""
    cost, area = Fraction(0), 1
    for scale in passes:
        cost += area * PASS_COST[scale]
        area *= scale * scale
    return cost


def _chains(scales: tuple[int, ...], later: tuple[int, ...], room: int) -> Iterator[tuple[int, ...]]:
    for scale in scales:
        if scale <= room:
            yield (scale,)
            yield from ((scale, *rest) for rest in _chains(later, later, room // scale))


def _half_up_root(square: Fraction) -> int:
    """Return the square root, rounded half up, without a float: floor(sqrt(q) + 1/2) = floor((sqrt(4q) + 1) / 2)."""
    return max((math.isqrt(math.floor(4 * square)) + 1) // 2, 1)
