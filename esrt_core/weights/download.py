"""Download one file, checked, by urllib.

A ready-made downloader would do less: requests, and pooch on top of it, follow redirects from https to http, cannot
tell a transfer that crawls from one that works, and retry what is hopeless as often as what is not.

The size and the SHA-256 of a file.

Which addresses weights may come from, and the hash that an address can carry.
"""

import hashlib
import ipaddress
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urldefrag, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from esrt_core.errors import WeightsError
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.weights.header import MAX_BYTES


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


CHUNK = 64 * 1024  # bytes
MIN_RATE = 1_000  # bytes a second, on average; slower counts as stalled
BUSY = (408, 425, 429)  # HTTP answers that ask to come again, beside 500 and above


@dataclass(frozen=True)
class DownloadOptions:
    """Say how patient a download is: seconds without a byte, attempts, seconds before the second (doubling then)."""

    timeout: float = 20.0
    attempts: int = 4
    pause: float = 0.5
    allow_http: bool = False


class _TransientError(Exception):
    """Something that may go well at the next attempt."""


def fetch(
    urls: Sequence[str], target: Path, expected: Digest | None, options: DownloadOptions, progress: ProgressCallback
) -> Digest:
    """Download the first address that works to `target`, and return what came.

    `target` is a temporary file: after an error it may hold anything. Raises WeightsError, with what each address did,
    when none delivers the `expected` content.
    """
    problems = []
    for url in urls:
        try:
            return _try_repeatedly(url, target, expected, options, progress)
        except WeightsError as error:
            problems.append(str(error))
    raise WeightsError("; ".join(problems))


def _try_repeatedly(
    url: str, target: Path, expected: Digest | None, options: DownloadOptions, progress: ProgressCallback
) -> Digest:
    check_url(url, options.allow_http)
    problem = ""
    for attempt in range(options.attempts):
        if attempt:
            time.sleep(options.pause * 2 ** (attempt - 1))
        try:
            _receive(url, target, expected, options, progress)
            return _checked(url, target, expected)
        except _TransientError as error:
            problem = str(error)
    raise WeightsError(
        f"{url} could not be downloaded in {options.attempts} attempts: {problem}; check the connection and try again"
    )


def _receive(
    url: str, target: Path, expected: Digest | None, options: DownloadOptions, progress: ProgressCallback
) -> None:
    """Make one attempt; raises _TransientError for what may pass and WeightsError for what will not."""
    opener = build_opener(_Redirects(options.allow_http))
    try:
        with (
            opener.open(Request(url, headers={"User-Agent": "esrt"}), timeout=options.timeout) as response,
            target.open("wb") as file,
        ):
            total = _announced(response, url, expected)
            received = _copy(response, file, total, expected.bytes if expected else MAX_BYTES, options, progress)
    except HTTPError as error:
        error.close()
        if error.code in BUSY or error.code >= 500:
            raise _TransientError(f"the server answered {error.code} {error.reason}") from error
        raise WeightsError(f"{url} cannot be downloaded: the server answered {error.code} {error.reason}") from error
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _TransientError(_reason(error)) from error
    if received < total:
        raise _TransientError(f"the transfer ended after {received:,} of {total:,} bytes")
    if received > total > 0:
        raise WeightsError(f"{url} sends more than the {total:,} bytes expected; nothing was kept")


def _announced(response: HTTPResponse, url: str, expected: Digest | None) -> int:
    """Return how many bytes have to come, 0 when nobody knows."""
    length = response.headers.get("Content-Length", "")
    announced = int(length) if length.isdecimal() else 0
    if expected and announced and announced != expected.bytes:
        raise WeightsError(f"{url} offers a file of {announced:,} bytes, expected {expected.bytes:,}; it was changed")
    return expected.bytes if expected else announced


def _copy(
    response: HTTPResponse,
    file: BinaryIO,
    total: int,
    limit: int,
    options: DownloadOptions,
    progress: ProgressCallback,
) -> int:
    """Copy the body and return its bytes, stopping just after `limit`."""
    received = 0
    started = time.monotonic()
    while received <= limit and (chunk := response.read1(CHUNK)):
        file.write(chunk)
        received += len(chunk)
        progress(Progress("download", received, total, "bytes"))
        elapsed = time.monotonic() - started
        if elapsed > options.timeout and received < MIN_RATE * elapsed:
            raise TimeoutError
    return received


def _checked(url: str, target: Path, expected: Digest | None) -> Digest:
    """Compare what came with what was expected."""
    found = digest_of(target)
    if expected and found != expected:
        raise WeightsError(
            f"{url} sent another file than expected: expected {expected}, found {found}; nothing was kept, ask its "
            "owner which one is right"
        )
    if found.bytes > MAX_BYTES:
        raise WeightsError(f"{url} sends more than {MAX_BYTES:,} bytes; no ESRT file is that large")
    return found


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return "the server stopped sending"
    return str(reason) or type(reason).__name__


class _Redirects(HTTPRedirectHandler):
    """Follow up to five redirects, to any host that https vouches for, never from https to http."""

    max_redirections = 5

    def __init__(self, allow_http: bool) -> None:
        self.allow_http = allow_http

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise WeightsError(f"{req.full_url} redirects from https to {newurl}, which is never followed")
        try:
            check_url(newurl, self.allow_http)
        except WeightsError as error:
            raise WeightsError(f"{req.full_url} redirects to an address that may not be used: {error}") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)
