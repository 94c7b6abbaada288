import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esrt_core.engine.native import library as module
from esrt_core.engine.native.library import FOLDER, PROCESSORS, Library, best_processor, load_library, open_library


def test_the_best_library_is_taken(library: Library) -> None:
    best = load_library()
    assert best is not None
    assert PROCESSORS.index(best.processor) >= PROCESSORS.index(library.processor)


def test_a_library_compiled_from_other_sources_is_not_used(library: Library, tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        if path.suffix in (".c", ".h", ".so"):
            shutil.copy(path, tmp_path)
    assert open_library(library.processor, tmp_path) is not None
    with (tmp_path / "simd.h").open("a") as source:
        source.write("\n")
    assert open_library(library.processor, tmp_path) is None
    assert best_processor(tmp_path) is None


def test_without_a_library_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert best_processor(tmp_path) is None
    monkeypatch.setattr(module, "best_processor", lambda: None)
    load_library.cache_clear()
    assert load_library() is None
    load_library.cache_clear()


def test_nothing_imports_torch() -> None:
    code = "import sys, esrt_core.engine.native.network; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
