"""Compile the native network (esrt_core/engine/native) if there is a C compiler; the package works without it too."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("esrt_core/engine/native")
FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-pthread", "-fvisibility=hidden", "-Wno-psabi"),
    *("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
)
PROCESSORS: dict[str, dict[str, tuple[str, ...]]] = {  # by machine, then by the last part of the library's name
    "x86_64": {
        "baseline": (),
        "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
        "avx2": ("-mavx2", "-mfma"),
    },
    "aarch64": {"baseline": ()},
    "arm64": {"baseline": ()},  # what macOS calls it
}
SYSTEMS = ("linux", "darwin")  # not Windows: the sources need POSIX threads and the vectors of GCC and Clang


class NativeHook(BuildHookInterface):
    """Put the compiled libraries beside their sources and into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile one library per kind of processor; if one fails, warn and leave all of them out."""
        machine = platform.machine()
        if sys.platform not in SYSTEMS or machine not in PROCESSORS:
            return
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            self.app.display_warning("no C compiler found: the network will run in torch, which is slower on a CPU")
            return
        libraries = [self._compile(compiler, name, flags) for name, flags in PROCESSORS[machine].items()]
        if all(libraries):
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
            build_data["force_include"].update({str(Path(self.root, path)): str(path) for path in libraries})

    def _compile(self, compiler: str, processor: str, flags: tuple[str, ...]) -> Path | None:
        """Compile all sources into one library, whose exported names end in their digest."""
        folder = Path(self.root, FOLDER)
        digest = hashlib.sha256()
        for path in sorted((*folder.glob("*.c"), *folder.glob("*.h"))):  # as library.py does
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        sources = [
            str(path) for path in sorted(folder.glob("*.c")) if processor == "baseline" or path.stem != "processor"
        ]
        target = folder / f"native_{processor}.so"
        words = [*FLAGS, *flags, f"-DDIGEST={digest.hexdigest()[:16]}", "-shared", *sources, "-lm"]
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            built = Path(scratch, target.name)
            done = subprocess.run([compiler, *words, "-o", str(built)], capture_output=True, text=True, check=False)
            if done.returncode:
                self.app.display_warning(f"the network will run in torch: {done.stderr.strip()}")
                return None
            built.replace(target)
        return FOLDER / target.name
