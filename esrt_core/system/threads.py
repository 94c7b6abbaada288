"""Work ahead: an iterator that runs in a thread of its own, a few items before its reader.

Work behind: a consumer that runs in a thread of its own, a few items after its feeder.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_POLL = 0.2  # seconds after which a waiting thread looks whether it is still wanted


class _End:
    """Close the queue, with the error that ended the work, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def prefetch(items: Iterator[Item], room: int) -> Iterator[Iterator[Item]]:
    """Yield the same items, made in a thread at most `room` of them early; its error comes out here, in its place.

    When the block ends, the thread has ended too, and `items` is closed where it is a generator.
    """
    waiting: queue.Queue[Item | _End] = queue.Queue(room)
    stopped = threading.Event()

    def offer(item: Item | _End) -> None:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=_POLL)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                offer(item)
                if stopped.is_set():
                    return
            offer(_End())
        except BaseException as error:  # noqa: BLE001 (raised again in the reader's thread)
            offer(_End(error))

    def taken() -> Iterator[Item]:
        while True:
            try:
                item = waiting.get(timeout=_POLL)  # a wait without end would not hear Ctrl-C on every system
            except queue.Empty:
                continue
            if isinstance(item, _End):
                break
            yield item
        if item.error is not None:
            raise item.error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        thread.join()
        close = getattr(items, "close", None)
        if close is not None:
            close()


# seconds after which a waiting thread looks whether the other one is still there


class _FeederError(Exception):
    """Unwind the consumer when the feeder failed."""


class _Closed:
    """Close the queue."""


@contextmanager
def consume_in_background(consume: Callable[[Iterator[Item]], None], room: int) -> Iterator[Callable[[Item], None]]:
    """Yield a function that hands items to `consume`, which takes them in a thread, at most `room` behind.

    An error of the consumer is raised by the next call, or when the block ends; it ends when all is consumed. Where the
    block itself fails, the consumer's iterator raises, so that it can clean up, and what it raises is dropped.
    """
    waiting: queue.Queue[Item | _Closed] = queue.Queue(room)
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
            if isinstance(item, _Closed):
                return
            yield item

    def work() -> None:
        try:
            consume(taken())
        except BaseException as error:  # noqa: BLE001 (raised again in the feeder's thread)
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)

    def hand(item: Item | _Closed) -> None:
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
        hand(_Closed())
        thread.join()
    finally:
        stopped.set()
        thread.join()
    if errors:
        raise errors[0]
