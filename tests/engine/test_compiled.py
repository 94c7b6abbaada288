import shutil
from pathlib import Path

import pytest
import torch

from esrt_core.engine.fast import compiled
from esrt_core.engine.fast.compiled import ARGUMENTS, FOLDER, load_kernel
from tests.engine.processors import forgotten, processor

__all__ = ["forgotten", "processor"]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_other_processors_have_no_kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert load_kernel(name) is None


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_library_compiled_from_another_source_is_not_used(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for file in FOLDER.glob(f"{name}*"):
        if file.suffix in (".c", ".so"):
            shutil.copy(file, tmp_path)
    monkeypatch.setattr(compiled, "FOLDER", tmp_path)
    load_kernel.cache_clear()
    assert load_kernel(name) is not None
    with (tmp_path / f"{name}.c").open("a") as source:
        source.write("\n")
    load_kernel.cache_clear()
    assert load_kernel(name) is None
