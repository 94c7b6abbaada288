"""Downloads from servers that answer with what no honest server sends."""

import contextlib
import itertools
import math
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esrt_core.architecture import parameter_shapes
from esrt_core.errors import EsrtError, WeightsError
from esrt_core.progress import ignore_progress
from esrt_core.weights.catalog import MAX_INDEX_BYTES
from esrt_core.weights.download import fetch
from esrt_core.weights.header import MAX_BYTES
from esrt_core.weights.library import index_entries
from esrt_core.weights.settings import StoreOptions
from tests.weights.conftest import QUICK

OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\n"


@contextmanager
def answering(parts: Iterable[bytes], pause: float = 0.0) -> Iterator[str]:
    """Serve on loopback; the answer to every request is `parts`, until the client has enough."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    ended = threading.Event()
    parts = list(itertools.islice(parts, 100_000))

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection.settimeout(2)
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    for part in parts:
                        connection.sendall(part)
                        if ended.wait(pause):
                            break

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a"
    finally:
        ended.set()
        thread.join()
        listener.close()


def refusal(parts: Iterable[bytes], folder: Path, pause: float = 0.0) -> str:
    with answering(parts, pause) as url, pytest.raises(WeightsError) as caught:
        fetch([url], folder / "target", None, replace(QUICK, attempts=1), ignore_progress)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nx", "as its length, which is invalid"),
        (OK + "Content-Length: ٣\r\n\r\nx".encode(), "as its length, which is invalid"),
        (OK + b"Content-Length: -5\r\n\r\nx", "as its length, which is invalid"),
        (OK + b"Content-Length: 0x10\r\n\r\nx", "as its length, which is invalid"),
        (OK + b"Content-Length: 1000000000000000\r\n\r\nx", "more than the"),
        (OK + f"Content-Length: {MAX_BYTES + 1}\r\n\r\nx".encode(), "more than the"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "could not be downloaded"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 60_000 + b"\r\nx", "could not be downloaded"),
        (MOVED + b"Location: http://[::1\r\n\r\n", "invalid address"),
        (MOVED + b"Location: http://127.0.0.1:x/\r\n\r\n", "address"),
        (MOVED + b"Location: http://127.0.0.1:" + b"9" * 5000 + b"/\r\n\r\n", "address"),
        (MOVED + b"Location: //\r\n\r\n", "answered 302"),
        (MOVED + b"Location: \xff\xfe\x00\r\n\r\n", "answered 302|address|downloaded"),
        (MOVED + b"Location: \r\n\r\n", "answered 302"),
        (MOVED + b"\r\n", "answered 302"),
        (MOVED + b"Location: /a\r\n\r\n", "answered 302 Found; |answered 302 The HTTP server returned a redirect"),
        (b"HTTP/1.1 404 \x1b[31m\xe2\x80\xae\r\n\r\n", "answered 404"),
        (b"HTTP/1.1 404 " + b"x" * 60_000 + b"\r\n\r\n", "answered 404 xxx"),
        (b"HTTP/1.1 99999 OK\r\n\r\n", "could not be downloaded"),
        (b"HTTP/1.1 OK\r\n\r\n", "could not be downloaded"),
        (b"\x00\xff" * 40_000, "could not be downloaded"),
        (b"", "could not be downloaded"),
        (OK + b"x: " + b"y" * 100_000 + b"\r\n\r\n", "could not be downloaded"),
        (OK + b"x: y\r\n" * 200 + b"\r\n", "could not be downloaded"),
    ],
)
def test_a_malformed_answer_is_one_line(tmp_path: Path, answer: bytes, words: str) -> None:
    assert re.search(words, refusal([answer], tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [
        [],
        [OK],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n"],
    ],
)
def test_headers_and_trailers_without_end_are_given_up(tmp_path: Path, start: list[bytes]) -> None:
    endless = b"HTTP/1.1 100 Continue\r\n\r\n" if not start else b"x: y\r\n"
    began = time.monotonic()
    message = refusal([*start, *[endless] * 10_000], tmp_path, pause=0.05)
    assert "could not be downloaded in 1 attempts" in message
    assert time.monotonic() - began < 60 * QUICK.timeout


def test_the_body_of_a_redirect_is_not_read(tmp_path: Path) -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        yield MOVED + b"Location: /b\r\n\r\n"
        while True:
            sent.append(1)
            yield bytes(65536)

    parts = list(itertools.islice(endless(), 3000))  # 200 MB
    assert "answered 302" in refusal(parts, tmp_path)


def test_no_more_is_fetched_than_such_a_file_can_have(tmp_path: Path) -> None:
    with answering([OK + b"\r\n", *[bytes(65536)] * 200]) as url, pytest.raises(WeightsError, match="more than the"):
        fetch([url], tmp_path / "t", None, replace(QUICK, max_bytes=1_000_000), ignore_progress)
    assert (tmp_path / "t").stat().st_size < 1_000_000 + 200_000


def test_an_index_of_many_megabytes_is_refused(tmp_path: Path) -> None:
    with answering([OK + f"Content-Length: {MAX_INDEX_BYTES + 1}\r\n\r\n".encode()]) as url:
        options = StoreOptions(tmp_path, tmp_path, url, download=QUICK)
        with pytest.raises(WeightsError, match=f"more than the {MAX_INDEX_BYTES:,}"):
            index_entries(options, refresh=True)


def test_a_network_of_twice_the_usual_channels_fits_three_times_into_the_largest_file() -> None:
    numbers = sum(math.prod(shape) for shape in parameter_shapes(4, 64, 32).values())
    assert 3 * 4 * numbers < MAX_BYTES


lines = st.binary(max_size=30).map(lambda text: text.replace(b"\n", b""))


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    status=st.sampled_from([b"200", b"301", b"302", b"404", b"503", b"206", b"100", b"204"]) | lines,
    headers=st.lists(
        st.tuples(st.sampled_from([b"Content-Length", b"Location", b"Transfer-Encoding", b"Content-Encoding"]), lines),
        max_size=4,
    ),
    body=st.binary(max_size=50),
)
def test_any_answer_is_a_file_or_one_line(
    tmp_path: Path, status: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    head = b"HTTP/1.1 " + status + b" x\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    with answering([head + b"\r\n" + body]) as url:
        try:
            fetch([url], tmp_path / "target", None, replace(QUICK, attempts=1, timeout=0.1), ignore_progress)
        except EsrtError as error:
            assert str(error).isprintable()  # noqa: PT017 - the other outcome is a file
