"""Ctrl-C and SIGTERM: unwind once, so that temporary files go away, and exit with the usual code."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """Unwind the stack after a signal. Not an Exception, so that no `except Exception` in a library swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.exit_code = 128 + signal_number


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into Interrupted; later ones wait for the clean-up."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # A signal that is ignored from outside (nohup, a shell's background job) stays ignored.
    before = {number: signal.getsignal(number) for number in numbers}
    numbers = [number for number in numbers if before[number] is not signal.SIG_IGN]

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    try:
        for number in numbers:
            signal.signal(number, interrupt)
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


@contextmanager
def graceful_interrupt(first: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C call `first`, which asks for an end; a second one interrupts as anywhere else."""
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        first()

    if callable(before):  # not where Ctrl-C is ignored from outside
        signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is ask:
            signal.signal(signal.SIGINT, before)
