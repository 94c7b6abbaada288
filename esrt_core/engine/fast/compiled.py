"""Our own kernels in C, where they were compiled and the processor can run them."""

import ctypes
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
PROCESSORS = {"AVX512": "avx512", "AVX2": "avx2"}  # what torch calls the processor, and what a library's name ends in
POINTER, LONG, FLOAT, INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int
ARGUMENTS: dict[str, tuple[type, ...]] = {  # by source: attention.c, convolution.c
    "attention": (*[POINTER] * 2, *[LONG] * 3, FLOAT, INT),
    "convolution": (*[POINTER] * 6, FLOAT, POINTER, *[LONG] * 6, INT),
}


def entry(name: str, source: bytes) -> str:
    """Return the name of the function that is compiled from a source; as hatch_build.py names it."""
    return f"{name}_{hashlib.sha256(source).hexdigest()[:16]}"


@cache
def load_kernel(name: str) -> Callable[..., int] | None:
    """Return the kernel of a source for this processor, or None.

    There is none where it was not compiled when the package was installed, or from another source; on older
    processors; and where torch has not loaded the OpenMP that the kernels share with it, lest they fight for the cores.
    """
    processor = PROCESSORS.get(torch.backends.cpu.get_cpu_capability())
    library = FOLDER / f"{name}_{processor}.so"
    if processor is None or not library.exists():
        return None
    try:
        kernel = ctypes.CDLL(str(library))[entry(name, (FOLDER / f"{name}.c").read_bytes())]
    except (OSError, AttributeError):
        return None
    kernel.argtypes = ARGUMENTS[name]
    kernel.restype = ctypes.c_int
    return kernel
