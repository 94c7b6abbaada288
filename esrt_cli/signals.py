"""Handle Ctrl-C and SIGTERM: unwind once, so that temporary files are removed, and exit with the usual code."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType


class Interrupted(BaseException):
    """Unwind the stack after a signal; not an Exception, so that no `except Exception` of a library swallows it.

    `reached` says how far the work was, such as "3 of 10 pictures", if that is known.
    """

    def __init__(self, signal_number: int) -> None:
        name = signal.Signals(signal_number).name
        super().__init__("interrupted" if name == "SIGINT" else f"stopped by {name}")
        self.exit_code = 128 + signal_number
        self.reached = ""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted on the first SIGINT, SIGTERM or SIGHUP; later ones are ignored during the cleanup."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # A signal that the parent process ignores (nohup, a background job of a shell) stays ignored.
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
    """Call `first` on the first Ctrl-C; a second one interrupts as usual.

    It runs in a thread: a handler may run within a write of the main thread to the terminal, which it could not
    write to again, or while that holds a lock.
    """
    before = signal.getsignal(signal.SIGINT)
    call = Thread(target=first, name="first interrupt")

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        call.start()

    if callable(before):  # not if the parent process ignores Ctrl-C
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is on_interrupt:
            signal.signal(signal.SIGINT, before)
        if call.ident is not None:
            call.join()
