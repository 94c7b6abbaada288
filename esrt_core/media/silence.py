"""C libraries that write to the terminal, kept quiet."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_STDERR = 2
_ONE_AT_A_TIME = threading.RLock()  # a second one would take the first one's silence for what to go back to


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what C code writes to standard error: libtiff, libpng and Ray print what they also report as errors."""
    with _ONE_AT_A_TIME, ExitStack() as stack:
        try:
            saved = os.dup(_STDERR)
        except OSError:  # standard error is closed: nothing can be written
            yield
            return
        stack.callback(os.close, saved)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, nowhere)
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(nowhere, _STDERR)
        stack.callback(os.dup2, saved, _STDERR)
        yield
