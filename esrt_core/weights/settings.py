"""Options of the weights library: folders, index and network access."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from esrt_core.errors import EsrtError, OptionError, WeightsError
from esrt_core.weights.address import DownloadOptions

_SWITCH = {"": False, "0": False, "false": False, "no": False, "off": False} | {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
}


@dataclass(frozen=True)
class StoreOptions:
    """Hold the folders of the library and what may be downloaded.

    `cache` holds what can be downloaded again, `data` what cannot: imported weights and recorded hashes. `index` is the
    address or path of an index with more weights, "" for none.
    """

    cache: Path
    data: Path
    index: str = ""
    offline: bool = False
    download: DownloadOptions = field(default_factory=DownloadOptions)


def store_options(environment: Mapping[str, str] = os.environ) -> StoreOptions:
    """Read ESRT_HOME, ESRT_INDEX and ESRT_OFFLINE; without ESRT_HOME the folders are the system's standard ones.

    Raises: OptionError if ESRT_OFFLINE is neither on nor off.
    """
    switch = environment.get("ESRT_OFFLINE", "").strip().lower()
    if switch not in _SWITCH:
        raise OptionError(f"ESRT_OFFLINE must be 1 or 0, not {switch!r}")
    home = environment.get("ESRT_HOME", "")
    if home:
        root = Path(home).expanduser().absolute()
        cache, data = root / "cache", root / "data"
    else:
        cache = platformdirs.user_cache_path("esrt", appauthor=False)
        data = platformdirs.user_data_path("esrt", appauthor=False)
    return StoreOptions(cache, data, environment.get("ESRT_INDEX", ""), _SWITCH[switch])


def make_folder(folder: Path) -> Path:
    """Make a folder of the library and return it.

    Raises: WeightsError if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "no permission"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise WeightsError(f"{folder} cannot be written: {reason}; set ESRT_HOME to a writable folder")
    return folder


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder in a folder of the library; errors name the latter.

    Raises: WeightsError if it cannot be made, or a file cannot leave it.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=".esrt-tmp-", dir=folder, ignore_cleanup_errors=True)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written: {error.strerror}; check the disk of ESRT_HOME") from error
    with made as temporary:
        try:
            yield Path(temporary)
        except EsrtError as error:
            if temporary not in str(error):
                raise
            raise type(error)(str(error).replace(temporary, str(folder))) from error
        except OSError as error:  # while a file gets its name
            raise WeightsError(f"{folder} cannot be written: {error.strerror}; check the disk of ESRT_HOME") from error
