"""Read .pth and .pt files without running what is in them."""

import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from esrt_core.errors import WeightsError
from esrt_core.weights.header import MAX_BYTES, check_file

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")
MAX_DEPTH = 3
ZIP, PICKLE = b"PK", b"\x80"  # how torch's files begin, since 1.6 and before
EXPECTED = "expected a state_dict saved by torch"


def read_pickled(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .pth or .pt file, taken out of the common wrappers.

    Only torch's restricted unpickler is used, which never runs code. Raises WeightsError for anything else than a
    mapping of names to tensors.
    """
    check_file(path)
    with path.open("rb") as file:
        start = file.read(2)
    if start == ZIP:
        _check_archive(path)
    elif start[:1] != PICKLE:
        raise WeightsError(f"{path} was not saved by torch; {EXPECTED}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle can raise anything at all
        raise WeightsError(f"{path} {_reason(str(error))}; {EXPECTED}") from error
    return _tensors(content, path, MAX_DEPTH)


def _check_archive(path: Path) -> None:
    """Refuse a damaged archive, a program, and one that unpacks to more than any ESRT needs, before it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(f"{path} is cut off or damaged; download or make it again") from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise WeightsError(f"{path} is a TorchScript program, not plain tensors; {EXPECTED}")
    size = sum(entry.file_size for entry in entries)
    if size > MAX_BYTES:
        raise WeightsError(f"{path} unpacks to {size:,} bytes; no ESRT file has more than {MAX_BYTES:,}")


def _reason(said: str) -> str:
    """Return in our words why torch did not load a file; torch's own advise to trust it."""
    refused = re.search(r"(?:Unsupported global: GLOBAL|class) (\S+)", said)
    if refused:
        return f"holds more than plain tensors ({refused[1]}), which is never loaded"
    return "is cut off or damaged, or holds more than plain tensors"


def _tensors(content: Any, path: Path, depth: int) -> dict[str, Tensor]:
    """Return the mapping of names to tensors inside the wrappers."""
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}; expected a mapping of names to tensors")
    wrapper = next((key for key in WRAPPERS if isinstance(content.get(key), dict)), None)
    if wrapper and depth:
        return _tensors(content[wrapper], path, depth - 1)
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            found = type(value).__name__
            raise WeightsError(f"{path} holds {str(key)[:60]!r}, a {found}; expected a mapping of names to tensors")
    return content
