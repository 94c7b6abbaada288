"""Ctrl-C and SIGTERM, taken note of, so that the loop can save and stop between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Remember the first signal; `number` is 0 while there was none."""

    def __init__(self) -> None:
        self.number = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        self.number = self.number or number


@contextmanager
def noting_signals() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM inside the block; one that is ignored from outside stays ignored."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    noted = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in noted:
            signal.signal(number, request.note)
        yield request
    finally:
        for number in noted:
            signal.signal(number, before[number])
