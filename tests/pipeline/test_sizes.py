"""Sizes and chains: exact to the pixel, and never a float's drift."""

from fractions import Fraction
from math import prod

import pytest

from esrt_core.errors import OptionError
from esrt_core.pipeline.sizes import (
    AlreadyLargeError,
    SizePlan,
    SizeRequest,
    chain_cost,
    cheapest_chain,
    exact,
    plan_size,
)

ALL = (2, 3, 4)


def factor(text: str) -> SizeRequest:
    return SizeRequest(factor=exact(text, "--scale"))


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("1.5", (2,)),
        ("2", (2,)),
        ("2.5", (3,)),
        ("3", (3,)),
        ("3.2", (4,)),
        ("4", (4,)),
        ("5", (2, 3)),
        ("6", (2, 3)),
        ("8", (2, 4)),
        ("9", (3, 3)),
        ("12", (3, 4)),
        ("16", (4, 4)),
    ],
)
def test_the_cheapest_chain_reaches_the_factor(text: str, passes: tuple[int, ...]) -> None:
    assert cheapest_chain(Fraction(text), ALL) == passes


def test_the_small_scale_comes_first_because_later_passes_see_more_pixels() -> None:
    assert chain_cost((2, 3)) == 700_000 + 4 * 800_000
    assert chain_cost((2, 3)) < chain_cost((3, 2))


@pytest.mark.parametrize("tenths", range(11, 161))
def test_every_factor_up_to_16_is_reached(tenths: int) -> None:
    passes = cheapest_chain(Fraction(tenths, 10), ALL)
    assert Fraction(tenths, 10) <= prod(passes) <= 16


def test_halves_are_rounded_up() -> None:
    assert plan_size(factor("2.5"), 5, 3, ALL) == SizePlan((3,), 13, 8, resample=True)


def test_a_factor_is_exact_where_a_float_is_not() -> None:
    assert 1.1 * 50 != 55  # so ceil and floor of the float would differ from the true product
    assert plan_size(factor("1.1"), 50, 5, ALL) == SizePlan((2,), 55, 6, resample=True)  # 5.5 goes up
    assert exact(1.1, "scale") == exact("1.10", "scale") == Fraction(11, 10)


def test_a_scale_of_its_own_needs_no_reduction() -> None:
    assert plan_size(factor("6"), 7, 5, ALL) == SizePlan((2, 3), 42, 30, resample=False)


def test_without_a_request_the_own_scale_counts() -> None:
    assert plan_size(SizeRequest(), 10, 10, ALL).passes == (4,)
    assert plan_size(SizeRequest(), 10, 10, (3,)) == SizePlan((3,), 30, 30, resample=False)


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        (SizeRequest(width=300), (300, 150)),
        (SizeRequest(height=120), (240, 120)),
        (SizeRequest(width=300, height=120), (240, 120)),
        (SizeRequest(width=201, height=5000), (201, 101)),
        (SizeRequest(longest=250), (250, 125)),
        (SizeRequest(megapixels=Fraction("0.02")), (200, 100)),
        (SizeRequest(megapixels=Fraction("0.0201")), (200, 100)),
    ],
)
def test_every_way_to_ask_for_a_size(request_: SizeRequest, size: tuple[int, int]) -> None:
    plan = plan_size(request_, 100, 50, ALL)
    assert (plan.width, plan.height) == size


def test_the_longest_side_may_be_the_height() -> None:
    plan = plan_size(SizeRequest(longest=250), 50, 100, ALL)
    assert (plan.width, plan.height) == (125, 250)


def test_the_passes_never_fall_short_of_the_target() -> None:
    for width in range(1, 40):
        for target in range(width + 1, 16 * width, 7):
            plan = plan_size(SizeRequest(width=target), width, 3, ALL)
            assert plan.width == target
            assert plan.width <= width * prod(plan.passes)
            assert plan.height <= 3 * prod(plan.passes)


def test_one_scale_works_in_a_chain_of_itself() -> None:
    assert plan_size(factor("9"), 4, 4, (3,)).passes == (3, 3)
    assert plan_size(factor("3"), 4, 4, (2,)) == SizePlan((2, 2), 12, 12, resample=True)
    with pytest.raises(OptionError, match="x3 reach a factor of at most 9, not 10"):
        plan_size(factor("10"), 4, 4, (3,))


def test_one_cleans_up_at_the_same_size() -> None:
    plan = plan_size(factor("1"), 30, 20, ALL)
    assert plan == SizePlan((2,), 30, 20, resample=True)
    assert factor("1").suffix(ALL) == "x1"
    with pytest.raises(AlreadyLargeError):  # asked for in pixels, it is already that large
        plan_size(SizeRequest(width=30), 30, 20, ALL)


@pytest.mark.parametrize("text", ["0.99", "0.5", "0", "-2"])
def test_a_factor_that_reduces_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=f"scale must be at least 1 and at most 16, not {text}"):
        factor(text)


def test_a_factor_beyond_sixteen_is_refused() -> None:
    with pytest.raises(OptionError, match=r"at most 16, not 16\.01"):
        factor("16.01")
    with pytest.raises(OptionError, match="at most 16, not"):
        plan_size(SizeRequest(width=1601), 100, 50, ALL)


@pytest.mark.parametrize("text", ["nan", "inf", "1e99", "1e999999999999", "-Infinity"])
def test_a_number_without_an_ordinary_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="finite number"):
        exact(text, "--scale")


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(OptionError, match="--scale must be a number, not 'abc'"):
        exact("abc", "--scale")


@pytest.mark.parametrize("request_", [SizeRequest(width=100), SizeRequest(longest=99), factor("1.001")])
def test_a_target_that_is_not_larger_is_refused(request_: SizeRequest) -> None:
    with pytest.raises(OptionError, match=r"already 100 x 50 px, at least as large"):
        plan_size(request_, 100, 50, ALL)


def test_only_one_way_to_ask_is_allowed() -> None:
    with pytest.raises(OptionError, match="use only one of"):
        SizeRequest(factor=Fraction(2), width=5)
    with pytest.raises(OptionError, match="--height must be above 0, not -3"):
        SizeRequest(width=5, height=-3)


@pytest.mark.parametrize(
    ("request_", "suffix"),
    [
        (factor("4.0"), "x4"),
        (factor("2.50"), "x2.5"),
        (SizeRequest(width=3000), "3000w"),
        (SizeRequest(height=1080), "1080h"),
        (SizeRequest(width=3000, height=2000), "3000x2000"),
        (SizeRequest(longest=4000), "4000l"),
        (SizeRequest(megapixels=Fraction(100)), "100mp"),
        (SizeRequest(megapixels=Fraction("0.5")), "0.5mp"),
    ],
)
def test_the_name_says_the_size(request_: SizeRequest, suffix: str) -> None:
    assert request_.suffix(ALL) == suffix


def test_the_name_says_the_weights_own_scale() -> None:
    assert SizeRequest().suffix(ALL) == "x4"
    assert SizeRequest().suffix((2,)) == "x2"


def test_a_chain_may_begin_with_other_scales_than_it_goes_on_with() -> None:
    assert cheapest_chain(Fraction(3), (2, 4), ALL) == (4,)
    assert cheapest_chain(Fraction(6), (2, 4), ALL) == (2, 3)
    assert cheapest_chain(Fraction(9), (2, 4), ALL) == (4, 3)
    assert plan_size(factor("3"), 5, 4, (2, 4), ALL) == SizePlan((4,), 15, 12, resample=True)
    with pytest.raises(OptionError, match="x2 and x4 reach a factor of"):
        cheapest_chain(Fraction(17), (2, 4), ())
