"""What Ctrl-C does while a program works."""

import os
import signal
import threading

import pytest

from esrt_cli.signals import Interrupted, graceful_interrupt, interruptible


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def interrupt_twice() -> None:
    interrupt()
    interrupt()


def test_what_the_first_interrupt_calls_may_need_what_the_main_thread_holds() -> None:
    """A handler runs within whatever the main thread does: here it holds a lock, as when it writes to a terminal."""
    held, calls = threading.Lock(), []

    def first() -> None:
        calls.append(held.acquire(timeout=10))

    with graceful_interrupt(first), held:
        interrupt()
        assert calls == []
    assert calls == [True]


def test_the_second_interrupt_interrupts() -> None:
    calls: list[int] = []
    with pytest.raises(Interrupted), interruptible(), graceful_interrupt(lambda: calls.append(1)):
        interrupt_twice()
    assert calls == [1]
