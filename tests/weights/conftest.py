"""Tiny weights, a store of its own, and a server on loopback that misbehaves on request."""

import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from esrt_core.model import ESRT, ESRTConfig
from esrt_core.weights.address import DownloadOptions
from esrt_core.weights.checkpoint import save_checkpoint
from esrt_core.weights.header import CheckpointMetadata
from esrt_core.weights.settings import StoreOptions

QUICK = DownloadOptions(timeout=0.3, attempts=3, pause=0.0)


@pytest.fixture
def network() -> ESRT:
    torch.manual_seed(0)
    return ESRT(ESRTConfig(2, channels=16, blocks=1)).eval()


@pytest.fixture
def metadata() -> CheckpointMetadata:
    return CheckpointMetadata(2, 16, 1, kind="test", licence="MIT", training={"steps": 7}, psnr={"Set5": 30.5})


@pytest.fixture
def weights(tmp_path: Path, network: ESRT, metadata: CheckpointMetadata) -> Path:
    path = tmp_path / "tiny_x2.safetensors"
    save_checkpoint(network, path, metadata)
    return path


@pytest.fixture
def options(tmp_path: Path) -> StoreOptions:
    return StoreOptions(tmp_path / "cache", tmp_path / "data", download=QUICK)


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up; that is what these tests are about."""


@dataclass
class Site:
    """Hold what a loopback server answers: content by path, faults by path, and the paths asked for."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)  # taken off one a request; the last one stays
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        self.site.asked.append(path)
        faults = self.site.faults.get(path, [""])
        fault = faults.pop(0) if len(faults) > 1 else faults[0]
        self.close_connection = True
        if fault.isdecimal():
            self.send_error(int(fault))
        elif fault.startswith("redirect "):
            self.answer(302, b"", {"Location": fault.removeprefix("redirect ")})
        elif path not in self.site.files:
            self.send_error(404)
        else:
            self.misbehave(fault, self.site.files[path])

    def misbehave(self, fault: str, content: bytes) -> None:
        half = content[: len(content) // 2]
        if fault == "die":
            self.answer(200, half, {"Content-Length": str(len(content))})
        elif fault == "lie short":
            self.answer(200, content, {"Content-Length": str(len(half))})
        elif fault == "truncate silently":
            self.answer(200, half, {"Content-Length": str(len(half))})
        elif fault == "end without a length":
            self.answer(200, half, {})
        elif fault == "stall":
            self.answer(200, half, {"Content-Length": str(len(content))})
            time.sleep(1.0)
        elif fault == "drip":
            self.answer(200, b"", {"Content-Length": str(len(content))})
            self.drip()
        elif fault == "wrong bytes":
            self.answer(200, bytes(byte ^ 1 for byte in content), {"Content-Length": str(len(content))})
        else:
            self.answer(200, content, {"Content-Length": str(len(content))})

    def drip(self) -> None:
        for _ in range(20):
            try:
                self.wfile.write(b"x")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)

    def answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Run a server on loopback, over TLS with a context, while the block runs; no proxy comes between."""
    server = QuietServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    site = Site(f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("BoundHandler", (Handler,), {"site": site})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with patch.dict(os.environ, {"no_proxy": "127.0.0.1,localhost"}):
            yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site
