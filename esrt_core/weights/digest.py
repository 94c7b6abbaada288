"""The size and the SHA-256 of a file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from esrt_core.errors import WeightsError


@dataclass(frozen=True)
class Digest:
    """Hold what identifies a file's content; `sha256` is 64 lower-case hexadecimal digits."""

    bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.bytes:,} bytes, sha256 {self.sha256}"


def digest_of(path: Path) -> Digest:
    """Return the digest of a file. Raises WeightsError when it cannot be read."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return Digest(file.tell(), sha256)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
