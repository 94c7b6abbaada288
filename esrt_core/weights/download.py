"""Download a file by urllib from an allowed address and verify its size and SHA-256.

A ready-made downloader would do less: requests, and pooch on top of it, follow redirects from https to http, cannot
distinguish a stalled transfer from a slow one, and retry permanent errors as often as transient ones.
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import IO, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from esrt_core.errors import WeightsError
from esrt_core.files import display_text
from esrt_core.progress import Progress, ProgressCallback
from esrt_core.weights.address import Digest, DownloadOptions, check_url, digest_of

CHUNK = 64 * 1024  # bytes
MIN_RATE = 1_000  # bytes/s on average; slower transfers count as stalled
STALLED = 3  # times the timeout without a header or a part of the body
TRANSIENT_STATUSES = (408, 425, 429)  # beside 500 and above
_LOOP = "The last 30x error message was"  # urllib appends it to the reason of a redirect in circles


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
            raise WeightsError(
                f"{req.full_url} redirects from https to the unencrypted {newurl[:200]}, which is refused"
            )
        try:
            check_url(newurl, self.allow_http)
        except WeightsError as error:
            raise WeightsError(f"{req.full_url} redirects to an address that is not allowed: {error}") from error
        fp.close()  # or urllib would read its body to the end, however long
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Watchdog:
    """Break the connections of one attempt when nothing useful has come for `seconds`.

    A socket's own timeout ends with every byte: it does not help against headers, answers "100 Continue" or trailers
    without end.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._fed = time.monotonic()
        self._ended = threading.Event()
        self._has_bitten = False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *details: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._has_bitten:  # what came before may look complete
            raise TimeoutError

    def feed(self) -> None:
        """Note that something useful has come."""
        self._fed = time.monotonic()

    def watch(self, connected: socket.socket) -> None:
        """Break this socket too."""
        self.feed()
        self._sockets.append(connected)

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds / 4):
            if time.monotonic() - self._fed > self._seconds:
                self._has_bitten = True
                for each in self._sockets:
                    with contextlib.suppress(OSError):  # closed already
                        each.shutdown(socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    watchdog: _Watchdog

    def connect(self) -> None:
        super().connect()
        self.watchdog.watch(self.sock)


class _SecureConnection(HTTPSConnection):
    watchdog: _Watchdog

    def connect(self) -> None:
        super().connect()
        self.watchdog.watch(self.sock)


class _HttpHandler(HTTPHandler):
    def __init__(self, watchdog: _Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connection, req)  # type: ignore[arg-type] # called with a host and a timeout

    def _connection(self, host: str, timeout: float) -> HTTPConnection:
        connection = _Connection(host, timeout=timeout)
        connection.watchdog = self._watchdog
        return connection


class _HttpsHandler(HTTPSHandler):
    def __init__(self, watchdog: _Watchdog) -> None:
        super().__init__()
        self._watchdog = watchdog

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connection, req)  # type: ignore[arg-type] # called with a host and a timeout

    def _connection(self, host: str, timeout: float) -> HTTPConnection:
        connection = _SecureConnection(host, timeout=timeout)
        connection.watchdog = self._watchdog
        return connection


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
            return _verify(url, target, expected, options.max_bytes)
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
    watchdog = _Watchdog(STALLED * options.timeout)
    opener = build_opener(_Redirects(options.allow_http), _HttpHandler(watchdog), _HttpsHandler(watchdog))
    try:
        with (
            watchdog,
            opener.open(Request(url, headers={"User-Agent": "esrt"}), timeout=options.timeout) as response,
            target.open("wb") as file,
        ):
            total = _expected_bytes(response, url, expected, options.max_bytes)
            limit = expected.bytes if expected else options.max_bytes
            received = _copy(response, file, total, limit, options, watchdog.feed, progress)
    except HTTPError as error:
        error.close()
        reason = str(error.reason).partition(_LOOP)[0].strip()
        answer = f"the server answered {error.code} {display_text(reason[:200])}"
        if error.code in TRANSIENT_STATUSES or error.code >= 500:
            raise _TransientError(answer) from error
        raise WeightsError(f"{url} cannot be downloaded: {answer}") from error
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _TransientError(_reason(error)) from error
    except ValueError as error:  # of urllib, when a redirect leads to what is not an address
        raise WeightsError(f"{url} redirects to an invalid address: {display_text(str(error)[:200])}") from error
    if received < total:
        raise _TransientError(f"the transfer ended after {received:,} of {total:,} bytes")
    if received > total > 0:
        raise WeightsError(f"{url} sends more than the expected {total:,} bytes; nothing was kept")


def _expected_bytes(response: HTTPResponse, url: str, expected: Digest | None, limit: int) -> int:
    """Return the number of bytes to receive, 0 if it is unknown.

    Raises: WeightsError if the server announces another size than expected, or more than `limit`.
    """
    length = response.headers.get("Content-Length", "").strip()
    if length and not re.fullmatch(r"[0-9]{1,18}", length):
        shown = display_text(length[:30])
        raise WeightsError(f"{url} cannot be downloaded: the server announces {shown} as its length, which is invalid")
    announced = int(length or 0)
    if expected and announced and announced != expected.bytes:
        raise WeightsError(f"{url} has {announced:,} bytes, expected {expected.bytes:,}; the file was changed")
    if announced > limit:
        raise WeightsError(f"{url} has {announced:,} bytes, more than the {limit:,} that such a file can have")
    return expected.bytes if expected else announced


def _copy(
    response: HTTPResponse,
    file: BinaryIO,
    total: int,
    limit: int,
    options: DownloadOptions,
    feed: Callable[[], None],
    progress: ProgressCallback,
) -> int:
    """Copy the body and return its number of bytes, stopping just after `limit`; call `feed` after every part."""
    received = 0
    started = time.monotonic()
    while received <= limit and (chunk := response.read1(CHUNK)):
        file.write(chunk)
        received += len(chunk)
        feed()
        progress(Progress("download", received, total, "bytes"))
        elapsed = time.monotonic() - started
        if elapsed > options.timeout and received < MIN_RATE * elapsed:
            raise TimeoutError
    return received


def _verify(url: str, target: Path, expected: Digest | None, limit: int) -> Digest:
    """Return the digest of the downloaded file.

    Raises: WeightsError if it is not the expected one, or has more than `limit` bytes.
    """
    found = digest_of(target)
    if expected and found != expected:
        raise WeightsError(
            f"{url} sent another file: expected {expected}, found {found}; nothing was kept, ask its owner which one "
            "is right"
        )
    if found.bytes > limit:
        raise WeightsError(f"{url} sends more than the {limit:,} bytes that such a file can have; nothing was kept")
    return found


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return "the server stopped sending"
    return display_text(str(reason)[:200]) or type(reason).__name__
