"""Download a file by urllib from an allowed address and verify its size and SHA-256.

A ready-made downloader would do less: requests, and pooch on top of it, follow redirects from https to http, cannot
distinguish a stalled transfer from a slow one, and retry permanent errors as often as transient ones.
"""

import time
from collections.abc import Sequence
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from esrt_core.errors import WeightsError
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.weights.address import Digest, DownloadOptions, check_url, digest_of
from esrt_core.weights.header import MAX_BYTES

CHUNK = 64 * 1024  # bytes
MIN_RATE = 1_000  # bytes/s on average; slower transfers count as stalled
TRANSIENT_STATUSES = (408, 425, 429)  # beside 500 and above


def fetch(
    urls: Sequence[str], target: Path, expected: Digest | None, options: DownloadOptions, progress: ProgressCallback
) -> Digest:
    """Download the first address that works to `target` and return the digest.

    `target` is a temporary file; after an error its content is undefined.

    Raises: WeightsError, with the problem of each address, if none delivers the `expected` content.
    """
    problems = []
    for url in urls:
        try:
            return _try_repeatedly(url, target, expected, options, progress)
        except WeightsError as error:
            problems.append(str(error))
    raise WeightsError("; ".join(problems))


class _TransientError(Exception):
    """An error that the next attempt may not meet."""


class _Redirects(HTTPRedirectHandler):
    """Follow up to five redirects to allowed addresses on any host, but never from https to http."""

    max_redirections = 5

    def __init__(self, allow_http: bool) -> None:
        self.allow_http = allow_http

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise WeightsError(f"{req.full_url} redirects from https to the unencrypted {newurl}, which is refused")
        try:
            check_url(newurl, self.allow_http)
        except WeightsError as error:
            raise WeightsError(f"{req.full_url} redirects to an address that is not allowed: {error}") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)


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
            return _verify(url, target, expected)
        except _TransientError as error:
            problem = str(error)
    raise WeightsError(
        f"{url} could not be downloaded in {options.attempts} attempts: {problem}; check the connection and try again"
    )


def _receive(
    url: str, target: Path, expected: Digest | None, options: DownloadOptions, progress: ProgressCallback
) -> None:
    """Make one attempt.

    Raises: _TransientError if another attempt may succeed, else WeightsError.
    """
    opener = build_opener(_Redirects(options.allow_http))
    try:
        with (
            opener.open(Request(url, headers={"User-Agent": "esrt"}), timeout=options.timeout) as response,
            target.open("wb") as file,
        ):
            total = _expected_bytes(response, url, expected)
            received = _copy(response, file, total, expected.bytes if expected else MAX_BYTES, options, progress)
    except HTTPError as error:
        error.close()
        if error.code in TRANSIENT_STATUSES or error.code >= 500:
            raise _TransientError(f"the server answered {error.code} {error.reason}") from error
        raise WeightsError(f"{url} cannot be downloaded: the server answered {error.code} {error.reason}") from error
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _TransientError(_reason(error)) from error
    if received < total:
        raise _TransientError(f"the transfer ended after {received:,} of {total:,} bytes")
    if received > total > 0:
        raise WeightsError(f"{url} sends more than the expected {total:,} bytes; nothing was kept")


def _expected_bytes(response: HTTPResponse, url: str, expected: Digest | None) -> int:
    """Return the number of bytes to receive, 0 if it is unknown.

    Raises: WeightsError if the server announces another size than expected.
    """
    length = response.headers.get("Content-Length", "")
    announced = int(length) if length.isdecimal() else 0
    if expected and announced and announced != expected.bytes:
        raise WeightsError(f"{url} has {announced:,} bytes, expected {expected.bytes:,}; the file was changed")
    return expected.bytes if expected else announced


def _copy(
    response: HTTPResponse,
    file: BinaryIO,
    total: int,
    limit: int,
    options: DownloadOptions,
    progress: ProgressCallback,
) -> int:
    """Copy the body and return its number of bytes, stopping just after `limit`."""
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


def _verify(url: str, target: Path, expected: Digest | None) -> Digest:
    """Return the digest of the downloaded file.

    Raises: WeightsError if it is not the expected one, or larger than any ESRT file.
    """
    found = digest_of(target)
    if expected and found != expected:
        raise WeightsError(
            f"{url} sent another file: expected {expected}, found {found}; nothing was kept, ask its owner which one "
            "is right"
        )
    if found.bytes > MAX_BYTES:
        raise WeightsError(f"{url} sends more than {MAX_BYTES:,} bytes; no ESRT file is that large")
    return found


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return "the server stopped sending"
    return str(reason) or type(reason).__name__
