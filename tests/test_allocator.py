import platform
import sys

import numpy as np
import pytest

from esrt_core.allocator import give_back_freed_memory, keep_freed_memory

GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 (no object that takes memory of its own)
        return int(file.read().split()[1]) * 4096


def test_glibc_and_nothing_else_takes_the_advice() -> None:
    assert keep_freed_memory() == GLIBC


@pytest.mark.skipif(not GLIBC, reason="only glibc gives memory back when it is told to")
def test_memory_between_what_is_still_used_goes_back_too() -> None:
    keep_freed_memory()
    blocks = [np.ones(2**20, np.uint8) for _ in range(128)]
    before = resident_bytes()
    kept = blocks[::8]
    del blocks
    assert give_back_freed_memory()
    assert before - resident_bytes() > 80 * 2**20
    assert sum(int(block[0]) for block in kept) == 16
