"""Addresses and digests of weights files, and the limits of a download; without the modules that a download needs."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urldefrag, urlsplit

from esrt_core.errors import WeightsError
from esrt_core.weights.header import MAX_BYTES

MAX_URL = 2000  # characters


@dataclass(frozen=True)
class Digest:
    """Hold the size and the SHA-256 of a file; `sha256` is 64 lowercase hexadecimal digits."""

    bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.bytes:,} bytes, sha256 {self.sha256}"


@dataclass(frozen=True)
class WeightsUrl:
    """Hold an address without its fragment, and the sha256 in the fragment, "" if there is none."""

    address: str
    sha256: str

    @property
    def file(self) -> str:
        """Return the file name at the end of the address, made safe for a local folder."""
        name = PurePosixPath(unquote(urlsplit(self.address).path)).name
        return re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".-")[-100:] or "weights.safetensors"


@dataclass(frozen=True)
class DownloadOptions:
    """Hold the limits of a download.

    timeout    seconds without data.
    attempts   attempts per address.
    pause      seconds before the second attempt; doubled before each further one.
    max_bytes  the most that a file of unknown size may have.
    """

    timeout: float = 20.0
    attempts: int = 4
    pause: float = 0.5
    allow_http: bool = False
    max_bytes: int = MAX_BYTES


def digest_of(path: Path) -> Digest:
    """Return the digest of a file.

    Raises: WeightsError if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return Digest(file.tell(), sha256)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error


def is_url(text: str) -> bool:
    """Return whether the text is an address, not a name or a path."""
    return "://" in text


def parse_url(text: str) -> WeightsUrl:
    """Split an address from its fragment.

    Raises: WeightsError if the fragment is not a sha256.
    """
    address, fragment = urldefrag(text)
    if not fragment:
        return WeightsUrl(address, "")
    match = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if match is None:
        raise WeightsError(f"{text} ends in '#{fragment}'; expected '#sha256=' and 64 hexadecimal digits")
    return WeightsUrl(address, match[1].lower())


def check_url(url: str, allow_http: bool) -> None:
    """Check that an address is https, or http on this machine or allowed by the user.

    Raises: WeightsError if it is not.
    """
    if len(url) > MAX_URL:
        raise WeightsError(f"an address of {len(url):,} characters is not valid; expected up to {MAX_URL:,}")
    if not re.fullmatch(r"[!-~]+", url):
        raise WeightsError(f"{url} is not a valid address: spaces and non-ASCII letters must be percent-encoded")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises if the port is not a number
    except ValueError as error:
        raise WeightsError(f"{url} is not a valid address: {error}") from error
    if not host or parts.scheme not in ("https", "http"):
        raise WeightsError(f"{url} cannot be downloaded; use an address that begins with https://")
    if parts.username is not None:
        raise WeightsError(f"the address on {host} contains a user name; use one without")
    if parts.scheme == "http" and not (allow_http or _is_loopback(host)):
        raise WeightsError(f"{url} is not encrypted; use https://, or fetch it with --allow-http")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
