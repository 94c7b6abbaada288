"""Work behind: a consumer that runs in a thread of its own, a few items after its feeder."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_POLL = 0.2  # seconds after which a waiting thread looks whether the other one is still there


class _FeederError(Exception):
    """Unwind the consumer when the feeder failed."""


class _End:
    """Close the queue."""


@contextmanager
def behind(consume: Callable[[Iterator[Item]], None], room: int) -> Iterator[Callable[[Item], None]]:
    """Yield a function that hands items to `consume`, which takes them in a thread, at most `room` behind.

    An error of the consumer is raised by the next call, or when the block ends; it ends when all is consumed. Where the
    block itself fails, the consumer's iterator raises, so that it can clean up, and what it raises is dropped.
    """
    waiting: queue.Queue[Item | _End] = queue.Queue(room)
    stopped = threading.Event()
    errors: list[BaseException] = []

    def taken() -> Iterator[Item]:
        while True:
            try:
                item = waiting.get(timeout=_POLL)
            except queue.Empty:
                if stopped.is_set():
                    raise _FeederError from None
                continue
            if isinstance(item, _End):
                return
            yield item

    def work() -> None:
        try:
            consume(taken())
        except BaseException as error:  # noqa: BLE001 (raised again in the feeder's thread)
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)

    def hand(item: Item | _End) -> None:
        while thread.is_alive():
            try:
                waiting.put(item, timeout=_POLL)
                return
            except queue.Full:
                continue
        if errors:
            raise errors[0]

    thread.start()
    try:
        yield hand
        hand(_End())
        thread.join()
    finally:
        stopped.set()
        thread.join()
    if errors:
        raise errors[0]
