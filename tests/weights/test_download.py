"""Downloads against a server that truncates, stalls, redirects, refuses, lies and dies."""

import hashlib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from esrt_core.errors import WeightsError
from esrt_core.progress import Progress, ignore_progress
from esrt_core.weights.address import Digest, DownloadOptions
from esrt_core.weights.download import fetch
from tests.weights.conftest import QUICK, Site, serving

CONTENT = bytes(range(256)) * 800  # more than one chunk
DIGEST = Digest(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def get(
    urls: str | Sequence[str], folder: Path, expected: Digest | None = DIGEST, options: DownloadOptions = QUICK
) -> bytes:
    target = folder / "target"
    fetch([urls] if isinstance(urls, str) else urls, target, expected, options, ignore_progress)
    return target.read_bytes()


@pytest.fixture
def good(site: Site) -> Site:
    site.files["a"] = CONTENT
    return site


def test_a_good_answer_is_taken_and_reported(good: Site, tmp_path: Path) -> None:
    reports: list[Progress] = []
    found = fetch([good.url("a")], tmp_path / "t", None, QUICK, reports.append)
    assert found == DIGEST
    assert reports[-1] == Progress("download", len(CONTENT), len(CONTENT), "bytes")


@pytest.mark.parametrize("fault", ["500", "503", "429", "die", "stall", "drip", "end without a length"])
def test_what_may_pass_is_tried_again(good: Site, tmp_path: Path, fault: str) -> None:
    good.faults["a"] = [fault, ""]
    assert get(good.url("a"), tmp_path) == CONTENT
    assert good.asked == ["a", "a"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", "answered 500"),
        ("die", f"ended after {len(CONTENT) // 2:,} of {len(CONTENT):,} bytes"),
        ("end without a length", "ended after"),
        ("stall", "stopped sending"),
        ("drip", "stopped sending"),
    ],
)
def test_what_never_passes_is_given_up(good: Site, tmp_path: Path, fault: str, words: str) -> None:
    good.faults["a"] = [fault]
    with pytest.raises(WeightsError, match=f"in 2 attempts: .*{words}"):
        get(good.url("a"), tmp_path, options=replace(QUICK, attempts=2))
    assert good.asked == ["a", "a"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("404", "answered 404"),
        ("403", "answered 403"),
        ("wrong bytes", "sent another file: expected .* found"),
        ("truncate silently", f"has {len(CONTENT) // 2:,} bytes, expected {len(CONTENT):,}"),
        ("lie short", "the file was changed"),
    ],
)
def test_what_is_hopeless_is_not_tried_again(good: Site, tmp_path: Path, fault: str, words: str) -> None:
    good.faults["a"] = [fault]
    with pytest.raises(WeightsError, match=words):
        get(good.url("a"), tmp_path)
    assert good.asked == ["a"]


def test_more_than_expected_is_refused(site: Site, tmp_path: Path) -> None:
    site.files["a"] = CONTENT + b"more"
    with pytest.raises(WeightsError, match="has 204,804 bytes"):
        get(site.url("a"), tmp_path)


def test_nobody_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"http://127\.0\.0\.1:1/a could not be downloaded in 3 attempts"):
        get("http://127.0.0.1:1/a", tmp_path)


def test_the_next_address_is_tried(good: Site, tmp_path: Path) -> None:
    assert get([good.url("gone"), good.url("a")], tmp_path) == CONTENT


def test_all_failures_are_told(good: Site, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"/one cannot .*404.*; .*/two cannot .*404"):
        get([good.url("one"), good.url("two")], tmp_path)


def test_a_redirect_is_followed(good: Site, tmp_path: Path) -> None:
    good.faults["old"] = [f"redirect {good.url('a')}"]
    assert get(good.url("old"), tmp_path) == CONTENT


def test_a_redirect_to_another_loopback_host_is_followed(good: Site, tmp_path: Path) -> None:
    good.faults["old"] = [f"redirect {good.url('a').replace('127.0.0.1', 'localhost')}"]
    assert get(good.url("old"), tmp_path) == CONTENT


@pytest.mark.parametrize("target", ["http://example.com/a", "ftp://127.0.0.1/a", "file:///etc/hostname"])
def test_a_redirect_to_where_nothing_may_come_from_is_refused(good: Site, tmp_path: Path, target: str) -> None:
    good.faults["a"] = [f"redirect {target}"]
    with pytest.raises(WeightsError, match=r"answered 302|redirects to an address that is not allowed"):
        get(good.url("a"), tmp_path)
    assert good.asked == ["a"]


def test_redirects_in_a_circle_end(good: Site, tmp_path: Path) -> None:
    good.faults["a"] = [f"redirect {good.url('a')}"]
    with pytest.raises(WeightsError, match="answered 302"):
        get(good.url("a"), tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a",
        "ftp://example.com/a",
        "file:///a",
        "https://",
        "https://me@h/a",
        "https://h:x/a",
        "https://h/ü b",
    ],
)
def test_addresses_that_may_not_be_used_are_refused_before_any_request(tmp_path: Path, url: str) -> None:
    with pytest.raises(WeightsError, match=r"is not a valid address|is not encrypted|use an? |use one"):
        get(url, tmp_path)


@pytest.fixture
def encrypted(good: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve over TLS, with a certificate made for this test and trusted by it alone."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    with serving(context) as site:
        site.files["a"] = CONTENT
        site.faults["down"] = [f"redirect {good.url('a')}"]
        site.faults["across"] = [f"redirect {site.url('a').replace('127.0.0.1', 'localhost')}"]
        yield site


def test_https_is_followed_to_another_host(encrypted: Site, tmp_path: Path) -> None:
    assert get(encrypted.url("across"), tmp_path) == CONTENT


@pytest.mark.parametrize("allow_http", [False, True])
def test_https_is_never_followed_to_http(encrypted: Site, good: Site, tmp_path: Path, allow_http: bool) -> None:
    with pytest.raises(WeightsError, match="redirects from https to the unencrypted http://"):
        get(encrypted.url("down"), tmp_path, options=replace(QUICK, allow_http=allow_http))
    assert good.asked == []


def test_an_unknown_certificate_is_refused(encrypted: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(WeightsError, match="certificate verify failed"):
        get(encrypted.url("a"), tmp_path)
