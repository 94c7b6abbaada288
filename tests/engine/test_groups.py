from esrt_core.engine.groups import MOST_FRAMES, group_frames
from tests.engine.conftest import rgb


def test_small_frames_come_in_groups_and_in_order() -> None:
    frames = [rgb(8, 8, seed=index) for index in range(MOST_FRAMES + 3)]
    groups = list(group_frames(frames, "cpu"))
    assert [len(group) for group in groups] == [MOST_FRAMES, 3]
    assert all(a is b for a, b in zip((frame for group in groups for frame in group), frames, strict=True))


def test_a_large_frame_is_a_group_by_itself() -> None:
    frames = [rgb(8, 8), rgb(400, 400), rgb(8, 8)]
    assert [len(group) for group in group_frames(frames, "cpu")] == [1, 1, 1]


def test_frames_are_taken_only_when_they_are_needed() -> None:
    taken = []
    groups = group_frames((taken.append(index) or rgb(400, 400) for index in range(5)), "cpu")  # type: ignore[func-returns-value]
    next(groups)
    assert len(taken) == 2
