"""Fixtures: the kernels for each kind of processor, on a processor that can run them."""

from collections.abc import Iterator

import pytest
import torch

from esrt_core.engine.fused.kernels import ARGUMENTS, FOLDER, PROCESSORS, load_kernel

ABLE = {"AVX512": ("AVX512", "AVX2"), "AVX2": ("AVX2",)}.get(torch.backends.cpu.get_cpu_capability(), ())


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget the kernels of one test before the next, when what it pretended is over."""
    load_kernel.cache_clear()
    yield
    load_kernel.cache_clear()


@pytest.fixture(params=list(PROCESSORS))
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the kernels for a kind of processor."""
    if request.param not in ABLE:
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    if not list(FOLDER.glob("*.so")):
        pytest.skip("not compiled: there was no C compiler when the package was installed")
    assert all(map(load_kernel, ARGUMENTS)), "compiled from other sources: pip install -e . again"
