import pytest

from esrt_core.engine import heap
from esrt_core.engine.heap import PIXELS, Heap


def test_the_heap_is_cleared_between_shapes_when_enough_has_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    cleared: list[int] = []
    monkeypatch.setattr(heap, "give_back_freed_memory", lambda: cleared.append(len(cleared)))
    own = Heap()
    for shape, tiles, times in [
        ((100, 100), 1, 0),
        ((100, 90), 1, 0),  # too soon
        ((100, 100), PIXELS // 10_000, 0),
        ((100, 100), 1, 0),  # the same shape
        ((90, 100), 1, 1),
        ((100, 90), 1, 1),  # too soon again
    ]:
        own.count(shape, tiles)
        assert len(cleared) == times
