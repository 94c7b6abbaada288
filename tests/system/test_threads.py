import threading
from collections.abc import Iterator

import pytest

from esrt_core.system.threads import consume_in_background, prefetch


def failing(after: int) -> Iterator[int]:
    yield from range(after)
    raise ValueError("broken source")


def test_ahead_gives_all_items_in_order() -> None:
    with prefetch(iter(range(100)), 2) as items:
        assert list(items) == list(range(100))


def test_ahead_raises_the_error_in_its_place() -> None:
    seen: list[int] = []

    def collect() -> None:
        with prefetch(failing(3), 1) as items:
            seen.extend(items)

    with pytest.raises(ValueError, match="broken source"):
        collect()
    assert seen == [0, 1, 2]


def test_ahead_ends_its_thread_and_closes_the_source_when_the_reader_leaves() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = threading.active_count()
    with prefetch(endless(), 2) as items:
        next(items)
    assert closed.is_set()
    assert threading.active_count() == before


def test_behind_hands_over_all_items_in_order_before_the_block_ends() -> None:
    taken: list[int] = []
    with consume_in_background(taken.extend, 2) as hand:
        for number in range(100):
            hand(number)
    assert taken == list(range(100))


def test_behind_raises_the_consumers_error() -> None:
    def consume(items: Iterator[int]) -> None:
        next(items)
        raise ValueError("disk full")

    def feed() -> None:
        with consume_in_background(consume, 1) as hand:
            for number in range(1000):
                hand(number)

    with pytest.raises(ValueError, match="disk full"):
        feed()


def test_behind_lets_the_consumer_clean_up_when_the_feeder_fails() -> None:
    cleaned = threading.Event()

    def consume(items: Iterator[int]) -> None:
        try:
            for _ in items:
                pass
        except BaseException:
            cleaned.set()
            raise

    def feed() -> None:
        with consume_in_background(consume, 1) as hand:
            hand(1)
            raise KeyError("feeder")

    with pytest.raises(KeyError, match="feeder"):
        feed()
    assert cleaned.is_set()
