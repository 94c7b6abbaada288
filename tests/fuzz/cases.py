"""One case: a damaged file of some kind through the part of the program that reads it; it ends well or in one line."""

import contextlib
import io
import random
import resource
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from esrt_core.decoding import DecodeError
from esrt_core.errors import EsrtError
from esrt_core.media.image.decode import decode, probe
from esrt_core.media.image.encode import encode
from esrt_core.media.image.picture import EncodeOptions, ReadLimits
from esrt_core.weights.catalog import parse_rows
from esrt_core.weights.checkpoint import load_checkpoint
from esrt_core.weights.header import read_header
from tests.fuzz import seeds
from tests.fuzz.clips import clips, read_clip
from tests.fuzz.mutation import mutated
from tests.fuzz.states import STATES, damaged_state

SLOW_SECONDS = 10.0  # of CPU, on a machine that does other work too
LARGE_BYTES = 1 << 30
PAGES = 20  # of a file are encoded again


@dataclass(frozen=True)
class Case:
    """Name a case: the seed of the run, its part and its number make it again."""

    seed: int
    number: int
    part: str = "files"

    @property
    def rng(self) -> random.Random:
        """The source of the case's damages."""
        return random.Random(f"{self.seed}/{self.number}" if self.part == "files" else str(self))


@dataclass(frozen=True)
class Finding:
    """Hold what went wrong in a case."""

    case: Case
    file: str
    what: str


def damaged_file(case: Case) -> tuple[str, bytes]:
    """Return the name and the content of a case's file."""
    rng = case.rng
    if case.part == "clips":
        name, data = rng.choice(list(clips().items()))
        return name, mutated(data, rng)
    kind = rng.random()
    if kind < 0.88:
        name, data = rng.choice(list(seeds.pictures().items()))
    elif kind < 0.96:
        name, data = rng.choice(list(seeds.weights().items()))
    else:
        name, data = "index.json", seeds.index()
    return name, mutated(data, rng)


def run_case(case: Case, folder: Path) -> Finding | None:
    """Run a case; return what went wrong, or None."""
    if case.part == "states":
        with tempfile.TemporaryDirectory(dir=folder) as own:
            name, path = damaged_state(case.rng, Path(own))
            return _watched(case, name, path.stat().st_size, lambda: STATES[name].use(Path(own)))
    name, data = damaged_file(case)
    path = folder / name
    path.write_bytes(data)
    return _watched(case, name, len(data), lambda: read_clip(path) if case.part == "clips" else _read(path))


def _watched(case: Case, name: str, size: int, work: Callable[[], None]) -> Finding | None:
    """Read a damaged file of `size` bytes; return what went wrong, or None."""
    before, began = _peak_bytes(), time.process_time()
    try:
        work()
    except (EsrtError, DecodeError) as error:
        if not str(error).isprintable() or len(str(error)) > 1000:
            return Finding(case, name, f"a message that is not one line: {error!r}")
    except BaseException:  # noqa: BLE001 - what a case raises is what is looked for
        return Finding(case, name, traceback.format_exc())
    seconds, grown = time.process_time() - began, _peak_bytes() - before
    if seconds > SLOW_SECONDS:
        return Finding(case, name, f"{seconds:.1f} s of CPU for {size:,} bytes")
    if grown > LARGE_BYTES:
        return Finding(case, name, f"{grown / 1e9:.1f} GB for {size:,} bytes")
    return None


def _read(path: Path) -> None:
    if path.suffix in (".safetensors", ".pth"):
        with contextlib.suppress(EsrtError):
            read_header(path)
        load_checkpoint(path)
    elif path.suffix == ".json":
        parse_rows(path.read_bytes(), "index")
    else:
        _read_picture(path)


def _read_picture(path: Path) -> None:
    """Describe a picture, decode all its pages and write them again, whole or what is left of it."""
    for limits in (ReadLimits(max_pixels=50_000_000), ReadLimits(max_pixels=50_000_000, allow_truncated=True)):
        with contextlib.suppress(EsrtError):
            info = probe(path, limits)
            assert info.width * info.height <= limits.max_pixels
        with contextlib.suppress(EsrtError):
            picture = decode(path, limits)
            pages = []
            with contextlib.suppress(EsrtError):
                for page in picture.pages:
                    pages.append(page)
                    if len(pages) == PAGES or sum(each.frame.planes[0].size for each in pages) > 3_000_000:
                        break
            for name in ("png", "tiff") if pages else ():
                with contextlib.suppress(EsrtError):
                    encode(pages, io.BytesIO(), name, picture.metadata, EncodeOptions())


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
