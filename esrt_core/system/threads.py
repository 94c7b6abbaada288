"""Run an iterator a few items ahead of its reader, or a consumer a few items behind its feeder, in a thread."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_POLL = 0.2  # s; a waiting thread checks this often whether the other one is still there


class _End:
    """Close the queue, with the error that ended the work, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def prefetch(items: Iterator[Item], room: int) -> Iterator[Iterator[Item]]:
    """Yield an iterator over the same items, produced in a thread up to `room` ahead; errors are raised in their place.

    When the block ends, the thread has ended, and `items` is closed if it is a generator.
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

    def received() -> Iterator[Item]:
        while True:
            try:
                item = waiting.get(timeout=_POLL)  # without a timeout Ctrl-C would not interrupt it on every system
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
        yield received()
    finally:
        stopped.set()
        thread.join()
        close = getattr(items, "close", None)
        if close is not None:
            close()


class _FeederError(Exception):
    """Unwind the consumer after the feeder failed."""


class _Closed:
    """Close the queue."""


@contextmanager
def consume_in_background(consume: Callable[[Iterator[Item]], None], room: int) -> Iterator[Callable[[Item], None]]:
    """Yield a function that passes items to `consume`, which runs in a thread up to `room` behind.

    An error of the consumer is raised by the next call, or at the end of the block, which waits until all items are
    consumed. If the block fails, the consumer's iterator raises, so that it can clean up; errors it then raises are
    dropped.
    """
    waiting: queue.Queue[Item | _Closed] = queue.Queue(room)
    stopped = threading.Event()
    errors: list[BaseException] = []

    def received() -> Iterator[Item]:
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
            consume(received())
        except BaseException as error:  # noqa: BLE001 (raised again in the feeder's thread)
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)

    def put(item: Item | _Closed) -> None:
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
        yield put
        put(_Closed())
        thread.join()
    finally:
        stopped.set()
        thread.join()
    if errors:
        raise errors[0]
