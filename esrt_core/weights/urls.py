"""Which addresses weights may come from, and the hash that an address can carry."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urldefrag, urlsplit

from esrt_core.errors import WeightsError


@dataclass(frozen=True)
class WeightsUrl:
    """Hold an address without its fragment, and the sha256 of the fragment, "" when it carries none."""

    address: str
    sha256: str

    @property
    def file(self) -> str:
        """Return the name of the file that the address ends in, safe for a local folder."""
        name = PurePosixPath(unquote(urlsplit(self.address).path)).name
        return re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".-")[-100:] or "weights.safetensors"


def is_url(text: str) -> bool:
    """Tell an address from a name or a path."""
    return "://" in text


def parse_url(text: str) -> WeightsUrl:
    """Take an address apart. Raises WeightsError for a fragment that is no sha256."""
    address, fragment = urldefrag(text)
    if not fragment:
        return WeightsUrl(address, "")
    match = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if match is None:
        raise WeightsError(f"{text} ends in '#{fragment}'; expected '#sha256=' and 64 hexadecimal digits")
    return WeightsUrl(address, match[1].lower())


def check_url(url: str, allow_http: bool) -> None:
    """Raise WeightsError unless the address is https, or http on this machine, or http that the user allowed."""
    if not re.fullmatch(r"[!-~]+", url):
        raise WeightsError(f"{url} is not an address: spaces and letters beyond ASCII have to be percent-encoded")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError as error:
        raise WeightsError(f"{url} is not an address: {error}") from error
    if not host or parts.scheme not in ("https", "http"):
        raise WeightsError(f"{url} cannot be downloaded; expected an address that begins with https://")
    if parts.username is not None:
        raise WeightsError(f"the address on {host} carries a user name; expected one that needs none")
    if parts.scheme == "http" and not (allow_http or _is_loopback(host)):
        raise WeightsError(f"{url} is not encrypted; expected https://, or fetch it with --allow-http")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
