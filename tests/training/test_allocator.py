import platform
import sys

from esrt_core.training.allocator import keep_freed_memory


def test_glibc_and_nothing_else_takes_the_advice() -> None:
    assert keep_freed_memory() == (sys.platform == "linux" and platform.libc_ver()[0] == "glibc")
