"""Compile the kernels of esrt_core/engine/fused if there is a C compiler; the package also works without them."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("esrt_core/engine/fused")
SOURCES = (FOLDER / "attention.c", FOLDER / "convolution.c")
FLAGS = ("-O3", "-fPIC", "-fopenmp", "-ffp-contract=fast", "-Wno-psabi")
PROCESSORS = {
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
}


class KernelsHook(BuildHookInterface):
    """Compile the kernels beside their source and add them to the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile all kernels; if one fails, warn and build a wheel without them."""
        if sys.platform != "linux" or os.uname().machine != "x86_64":
            return
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            self.app.display_warning("no C compiler: torch will compute attention and convolutions, which is slower")
            return
        made = [self._compile(compiler, source, name) for source in SOURCES for name in PROCESSORS]
        if all(made):
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
            build_data["force_include"].update({str(Path(self.root, path)): str(path) for path in made})

    def _compile(self, compiler: str, source: Path, processor: str) -> Path | None:
        target = source.with_name(f"{source.stem}_{processor}.so")
        digest = hashlib.sha256(Path(self.root, source).read_bytes()).hexdigest()
        with tempfile.TemporaryDirectory() as folder:
            made, linked = str(Path(folder, "kernel.o")), Path(folder, "kernel.so")
            flags = (*FLAGS, *PROCESSORS[processor], f"-DENTRY={source.stem}_{digest[:16]}")
            commands = (
                [compiler, *flags, "-c", str(source), "-o", made],
                [compiler, "-shared", made, "-o", str(linked)],  # without linking OpenMP: torch has loaded one
            )
            for command in commands:
                done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
                if done.returncode:
                    self.app.display_warning(f"torch will compute {source.stem}: {done.stderr.strip()}")
                    return None
            shutil.copyfile(linked, Path(self.root, f"{target}.new"))
        Path(self.root, f"{target}.new").replace(Path(self.root, target))
        return target
