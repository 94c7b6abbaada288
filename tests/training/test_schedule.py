import pytest

from esrt_core.training.schedule import FLOOR, Schedule, Stage, plan_stages

STAGES = (Stage(0.5, 24, 16), Stage(1.0, 48, 4))


def make(steps: int | None = 100, seconds: float | None = None, mse_last: float = 0.0) -> Schedule:
    return Schedule(steps, seconds, STAGES, warmup=9, mse_last=mse_last)


def test_the_rate_warms_up_and_ends_at_the_floor() -> None:
    schedule = make()
    factors = [schedule.at(step, 0.0).lr_factor for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[:9] == sorted(factors[:9])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(FLOOR)


@pytest.mark.parametrize(("steps", "seconds"), [(40, None), (None, 40.0)])
def test_the_warm_up_of_a_short_run_is_a_tenth_of_it(steps: int | None, seconds: float | None) -> None:
    schedule = Schedule(steps, seconds, STAGES, warmup=50)
    factors = [schedule.at(step, float(step)).lr_factor for step in range(40)]
    assert factors[0] == pytest.approx(1 / 51)
    assert factors[:5] == sorted(factors[:5])
    assert factors[4] > 0.95
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_the_clock_takes_the_place_of_the_steps() -> None:
    schedule = make(steps=None, seconds=50.0)
    assert schedule.at(7, 25.0).fraction == 0.5
    assert schedule.at(7, 80.0).fraction == 1.0


def test_the_stages_follow_each_other() -> None:
    assert [make().at(step, 0.0).stage.patch for step in (0, 49, 50, 100)] == [24, 24, 48, 48]


def test_the_end_uses_mse_when_asked_to() -> None:
    schedule = make(mse_last=0.2)
    assert [schedule.at(step, 0.0).mse for step in (0, 79, 80, 99)] == [False, False, True, True]
    assert not make().at(99, 0.0).mse


def test_batches_are_divided_evenly_among_processes() -> None:
    assert all(stage.batch % 4 == 0 for stage in plan_stages(False, None, None, world=4))
    assert plan_stages(False, 32, 5, world=1) == (Stage(1.0, 32, 5),)
    assert plan_stages(False, 48, None, world=1)[0].batch == 4  # as many px as 16 patches of 24


def test_the_length_follows_from_the_speed_and_the_stages() -> None:
    first, second = 16 * 24**2, 4 * 48**2  # both 9,216 LR px
    assert first == second
    assert make().expected_steps(1e-3) == 100
    assert make().seconds_for(200, 1e-3) == pytest.approx(200 * 9.216)
    timed = make(steps=None, seconds=92.16)
    assert timed.expected_steps(1e-3) == pytest.approx(10)
    assert timed.seconds_for(20, 1e-3) == pytest.approx(2 * 92.16)
    uneven = Schedule(None, 60.0, (Stage(0.5, 10, 1), Stage(1.0, 10, 3)), warmup=0)
    assert uneven.expected_steps(0.01) == pytest.approx(30 + 10)
    assert Schedule(40, None, uneven.stages, warmup=0).seconds_for(40, 0.01) == pytest.approx(20 + 60)
