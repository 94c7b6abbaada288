"""Cluster: a connection to Ray, and how many hands it has."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from esrt_core.errors import OptionError, RemoteError
from esrt_core.media.silence import quiet_stderr

LOCAL = "local"
_CORES = 4  # of one actor without a GPU: with more, one network gains little on tiles
_PATIENCE = 10.0  # seconds
_DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Crew:
    """Say how many actors upscale, and what each of them has; `device` is the engine's."""

    actors: int
    cores: int
    gpus: int
    device: str


def check_cluster_options(address: str, devices: Sequence[str]) -> None:
    """Raise OptionError for an address or devices that cannot be meant."""
    if not address:
        raise OptionError("--ray is empty; give local, auto or host:port")
    if "://" in address:
        raise OptionError(
            f"--ray {address}: Ray Data does not run through Ray's client; run the command on a machine of the "
            "cluster, with --ray auto"
        )
    if len(devices) != 1 or devices[0] not in _DEVICES:
        raise OptionError(
            f"--device {','.join(devices)} names devices of this machine; with --ray give {', '.join(_DEVICES)}"
        )


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Join a cluster while the block runs, or start a Ray of this machine's own ("local").

    A connection that this process has already is used, and left as it is. Raise RemoteError where the package is
    missing or there is no cluster.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        _join(ray, address)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray takes it over to exit at once
        yield
    finally:
        ray.shutdown()


def crew_for(devices: Sequence[str], threads: int | None, pictures: int) -> Crew:
    """Return the actors that a connected cluster has room for: one a GPU, or one for every few cores.

    Raise RemoteError where it has none of what is asked.
    """
    nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if devices[0] == "cuda" and not gpus:
        raise RemoteError("no machine of the cluster has a GPU; leave out --device, or start Ray with --num-gpus")
    if gpus and devices[0] != "cpu":
        return Crew(min(gpus, pictures), threads or 1, 1, "cuda")
    return _on_cores([int(node.get("CPU", 0)) for node in nodes], threads, pictures)


def _on_cores(cores: Sequence[int], threads: int | None, pictures: int) -> Crew:
    share = threads or min(_CORES, max(cores, default=0))
    actors = sum(count // share for count in cores) if share else 0
    if not actors:
        raise RemoteError(
            f"no machine of the cluster has {share or 'any'} cores; give fewer --threads or start Ray with --num-cpus"
        )
    return Crew(min(actors, pictures), share, 0, "cpu")


def import_ray() -> Any:
    """Return the package; raise RemoteError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise RemoteError('--ray needs an extra: pip install ".[ray]"') from error
    return ray


def _join(ray: Any, address: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for name, level in (("RAY_DATA_LOG_LEVEL", "CRITICAL"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
        os.environ.setdefault(name, level)  # what matters of it is told in our own words
    quiet: Mapping[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        _knock(address)
        with quiet_stderr():  # Ray's own code, which is not Python's, writes there
            if address == LOCAL:
                ray.init(address=LOCAL, include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
        ray._private.worker._worker_logs_enabled = False  # or it tells of lost processes on standard output
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise RemoteError(
            f"there is no Ray cluster at {address} ({reason}); start one with 'ray start --head', or give --ray local"
        ) from error


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at host:port: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _PATIENCE).close()
