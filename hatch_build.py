"""Compile the C of esrt_core/engine where there is a compiler; the package works without it too."""

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
NATIVE = Path("esrt_core/engine/native")
NATIVE_FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-pthread", "-fvisibility=hidden", "-Wno-psabi"),
    *("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
)
NATIVE_PROCESSORS: dict[str, dict[str, tuple[str, ...]]] = {  # by machine, then by what a library's name ends in
    "x86_64": {"baseline": (), **PROCESSORS},
    "aarch64": {"baseline": ()},
}


class KernelsHook(BuildHookInterface):
    """Put the compiled libraries beside their source, and into the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; what fails is said, and leaves the files out."""
        machine = os.uname().machine if sys.platform == "linux" else ""
        if machine not in NATIVE_PROCESSORS:
            return
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            self.app.display_warning("no C compiler: the network is left to torch, which takes longer")
            return
        made = [self._compile_native(compiler, name, flags) for name, flags in NATIVE_PROCESSORS[machine].items()]
        if machine == "x86_64":
            made += [self._compile(compiler, source, name) for source in SOURCES for name in PROCESSORS]
        if all(made):
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
            build_data["force_include"].update({str(Path(self.root, path)): str(path) for path in made})

    def _compile_native(self, compiler: str, processor: str, flags: tuple[str, ...]) -> Path | None:
        """Compile all sources of the native network into one library, whose exported names end in their digest."""
        folder = Path(self.root, NATIVE)
        digest = hashlib.sha256()
        for path in sorted((*folder.glob("*.c"), *folder.glob("*.h"))):  # as library.py does
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        sources = [
            str(path) for path in sorted(folder.glob("*.c")) if processor == "baseline" or path.stem != "processor"
        ]
        target = folder / f"native_{processor}.so"
        words = [*NATIVE_FLAGS, *flags, f"-DDIGEST={digest.hexdigest()[:16]}", "-shared", *sources, "-lm"]
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch, target.name)
            done = subprocess.run([compiler, *words, "-o", str(made)], capture_output=True, text=True, check=False)
            if done.returncode:
                self.app.display_warning(f"the network is left to torch: {done.stderr.strip()}")
                return None
            made.replace(target)
        return NATIVE / target.name

    def _compile(self, compiler: str, source: Path, processor: str) -> Path | None:
        target = source.with_name(f"{source.stem}_{processor}.so")
        digest = hashlib.sha256(Path(self.root, source).read_bytes()).hexdigest()
        with tempfile.TemporaryDirectory() as folder:
            made, linked = str(Path(folder, "kernel.o")), Path(folder, "kernel.so")
            flags = (*FLAGS, *PROCESSORS[processor], f"-DENTRY={source.stem}_{digest[:16]}")
            commands = (
                [compiler, *flags, "-c", str(source), "-o", made],
                [compiler, "-shared", made, "-o", str(linked)],  # without its own OpenMP: torch has loaded one
            )
            for command in commands:
                done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
                if done.returncode:
                    self.app.display_warning(f"{source.stem} is left to torch: {done.stderr.strip()}")
                    return None
            shutil.copyfile(linked, Path(self.root, f"{target}.new"))
        Path(self.root, f"{target}.new").replace(Path(self.root, target))
        return target
