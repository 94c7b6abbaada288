"""Compile esrt_core/engine/fast/attention.c where there is a C compiler; the package works without it too."""

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

SOURCE = Path("esrt_core/engine/fast/attention.c")
FLAGS = ("-O3", "-fPIC", "-fopenmp", "-ffp-contract=fast", "-Wno-psabi")
PROCESSORS = {
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
}


class AttentionHook(BuildHookInterface):
    """Put the compiled libraries beside their source, and into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; what fails is said, and leaves the files out."""
        if sys.platform != "linux" or os.uname().machine != "x86_64":
            return
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            self.app.display_warning("no C compiler: attention is left to torch, which takes longer")
            return
        made = {name: self._compile(compiler, name, flags) for name, flags in PROCESSORS.items()}
        if all(made.values()):
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
            build_data["force_include"].update({str(Path(self.root, path)): str(path) for path in made.values()})

    def _compile(self, compiler: str, name: str, flags: tuple[str, ...]) -> Path | None:
        target = SOURCE.with_name(f"attention_{name}.so")
        entry = f"-DENTRY=attention_{hashlib.sha256(Path(self.root, SOURCE).read_bytes()).hexdigest()[:16]}"
        with tempfile.TemporaryDirectory() as folder:
            made, linked = str(Path(folder, "attention.o")), Path(folder, "attention.so")
            commands = (
                [compiler, *FLAGS, *flags, entry, "-c", str(SOURCE), "-o", made],
                [compiler, "-shared", made, "-o", str(linked)],  # without its own OpenMP: torch has loaded one
            )
            for command in commands:
                done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
                if done.returncode:
                    self.app.display_warning(f"attention is left to torch: {done.stderr.strip()}")
                    return None
            shutil.copyfile(linked, Path(self.root, f"{target}.new"))
        Path(self.root, f"{target}.new").replace(Path(self.root, target))
        return target
