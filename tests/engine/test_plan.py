import math

import pytest

from esrt_core.engine.plan import (
    TILE_LADDER,
    WHOLE_LIMIT,
    check_memory,
    estimate_memory,
    estimate_work,
    make_plan,
    smaller_tile,
)
from esrt_core.errors import OptionError

SIZES = [(250, 240), (500, 500), (1000, 1000), (2000, 1500), (4000, 3000), (6000, 4000)]


def test_the_cost_of_a_pixel_does_not_grow_with_the_picture() -> None:
    costs = [estimate_work(make_plan(width, height, 4)) / (width * height) for width, height in SIZES]
    assert max(costs) / min(costs) < 1.2


def test_memory_does_not_grow_with_the_picture() -> None:
    costs = [estimate_memory(make_plan(width, height, 4)) for width, height in SIZES]
    assert max(costs) < 500 * 2**20


def test_a_tile_asked_for_is_a_limit() -> None:
    plan = make_plan(1000, 700, 2, tile=101)
    assert plan.tile == 100
    assert max(plan.tile_shape) <= 100


def test_small_pictures_share_a_shape_on_a_gpu_only() -> None:
    assert make_plan(50, 40, 2, "cuda").tile_shape == make_plan(64, 64, 2, "cuda").tile_shape
    assert make_plan(50, 40, 2, "cpu").tile_shape == (40, 50)


@pytest.mark.parametrize(
    ("side", "cpu", "gpu"), [(64, 1, 1), (84, 1, 2), (120, 2, 3), (140, 2, 3), (180, 3, 4), (240, 4, 5)]
)
def test_a_picture_of_one_tile_has_larger_windows_on_a_cpu(side: int, cpu: int, gpu: int) -> None:
    assert make_plan(side, side, 3, "cpu").windows == (cpu, cpu)
    assert make_plan(side, side, 3, "cuda").windows == (gpu, gpu)


def test_tiles_of_a_larger_picture_keep_windows_of_the_training_size() -> None:
    plan = make_plan(6000, 4000, 2, "cpu")
    assert (plan.tile_shape, plan.windows) == ((240, 240), (5, 5))


def test_the_whole_picture_is_one_tile_without_windows() -> None:
    plan = make_plan(301, 203, 3, tile=0)
    assert (plan.tiles, plan.tile_shape, plan.windows, plan.tile) == (1, (203, 301), (1, 1), 0)


def test_a_whole_picture_beyond_the_limit_is_refused_in_one_line() -> None:
    side = int(WHOLE_LIMIT**0.5) + 1
    with pytest.raises(OptionError, match="tile 0") as caught:
        make_plan(side, side, 2, tile=0)
    assert "\n" not in str(caught.value)


def test_a_whole_picture_beyond_the_memory_is_refused_in_one_line() -> None:
    plan = make_plan(500, 500, 2, tile=0)
    check_memory(plan, None)
    check_memory(plan, estimate_memory(plan))
    with pytest.raises(OptionError, match=r"needs about 3\.0 GB") as caught:
        check_memory(plan, 10**9)
    assert "\n" not in str(caught.value)
    check_memory(make_plan(5000, 5000, 2), 10**6)  # tiles are made smaller when memory really runs out


def test_the_ladder_goes_down_and_ends() -> None:
    assert smaller_tile(256) == 192
    assert smaller_tile(TILE_LADDER[-1]) is None
    assert sorted(TILE_LADDER, reverse=True) == list(TILE_LADDER)


def test_a_smaller_tile_needs_less_memory_on_a_gpu() -> None:
    needs = [estimate_memory(make_plan(2000, 1500, 2, "cuda", tile)) for tile in (None, 192, 96, 48)]
    assert needs == sorted(needs, reverse=True)
    assert needs[-1] < 75e6
    full, least = (estimate_memory(make_plan(1280, 720, 2, "cuda", tile)) for tile in (None, 48))
    assert least < full / 20


def test_batches_on_a_gpu_are_equally_full() -> None:
    for width, height in ((1280, 720), (1920, 1080), (3000, 2000)):
        plan = make_plan(width, height, 2, "cuda")
        batches = math.ceil(plan.tiles / plan.batch)
        assert plan.tiles > (batches - 1) * plan.batch
        assert batches * plan.batch - plan.tiles < batches
