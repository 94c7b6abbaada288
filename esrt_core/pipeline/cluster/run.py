"""Cluster: a connection to Ray, and how many hands it has.

Pictures through a cluster, as a Ray Data pipeline: read, enlarge on actors, write.

Carry out the plan of many pictures on a cluster: nothing is lost, and one bad picture never stops the rest.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import EsrtError, OptionError, RemoteError
from esrt_core.files import display_text
from esrt_core.pipeline.batch.manifest import FOLDER, JOB, Record
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.outputs import JobKey, limits_text
from esrt_core.pipeline.batch.plan import Failure
from esrt_core.pipeline.batch.run import Ended, FolderResult, StopRequest
from esrt_core.pipeline.batch.throughput import Throughput
from esrt_core.pipeline.cluster.plan import Root, StorePlan, StoreTask
from esrt_core.pipeline.cluster.stages import (
    EnlargeRow,
    Order,
    Setup,
    StoreOutcome,
    WriteRow,
    packed,
    passes_of,
    put_record,
    read_row,
    record_of,
    unpacked,
)
from esrt_core.pipeline.cluster.storage import join, store_of
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import suppress_native_stderr

LOCAL = "local"
_CORES = 4  # of one actor without a GPU: with more, one network gains little on tiles
_PATIENCE = 10.0  # seconds
_DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class ActorSpec:
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


def plan_actors(devices: Sequence[str], threads: int | None, pictures: int) -> ActorSpec:
    """Return the actors that a connected cluster has room for: one a GPU, or one for every few cores.

    Raise RemoteError where it has none of what is asked.
    """
    nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if devices[0] == "cuda" and not gpus:
        raise RemoteError("no machine of the cluster has a GPU; leave out --device, or start Ray with --num-gpus")
    if gpus and devices[0] != "cpu":
        return ActorSpec(min(gpus, pictures), threads or 1, 1, "cuda")
    return _on_cores([int(node.get("CPU", 0)) for node in nodes], threads, pictures)


def _on_cores(cores: Sequence[int], threads: int | None, pictures: int) -> ActorSpec:
    share = threads or min(_CORES, max(cores, default=0))
    actors = sum(count // share for count in cores) if share else 0
    if not actors:
        raise RemoteError(
            f"no machine of the cluster has {share or 'any'} cores; give fewer --threads or start Ray with --num-cpus"
        )
    return ActorSpec(min(actors, pictures), share, 0, "cpu")


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
        with suppress_native_stderr():  # Ray's own code, which is not Python's, writes there
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


RETRIES = 3  # of a picture whose process ends; then it is left, lest it takes down one process after the other


def setup_of(tasks: Sequence[StoreTask], options: FolderOptions, pool: UpscalerPool, actors: ActorSpec) -> Setup:
    """Return what the actors of a crew need. The weights go along: the other machines need no file of them."""
    chains = {(task.plan.chain, task.plan.size.passes) for task in tasks}
    passes = {(chain, place, scale) for chain, scales in chains for place, scale in enumerate(scales)}
    if any(task.plan.pages > 1 for task in tasks):  # a page of another size may take other passes
        passes.update(passes_of(pool.selector))
    weights = {}
    for chain, place, scale in passes:
        file = pool.for_chain(chain).weights(scale, place)
        weights[chain.model(place), scale] = (file, file.path.read_bytes())
    threads = actors.cores if actors.device == "cpu" else options.upscale.engine.threads
    engine = replace(options.upscale.engine, device=actors.device, threads=threads)
    return Setup(pool.selector, engine, weights)


def outcomes(tasks: Sequence[StoreTask], setup: Setup, actors: ActorSpec, job: JobKey) -> Generator[StoreOutcome]:
    """Yield what becomes of the tasks, as they end; a task whose processes ended each time has no outcome.

    When the iterator is closed early, the work is broken off. Raise RemoteError where the cluster fails.
    """
    ray = import_ray()
    try:
        rows = _pipeline(ray, tasks, setup, actors, job).iter_rows()
        with closing(_each(rows)) as each:
            yield from each
    except EsrtError:
        raise
    except (ray.exceptions.RayError, ImportError, OSError) as error:
        raise RemoteError(
            f"the cluster gave up ({_reason(error)}); see that all machines have the same esrt installed: then the "
            "same command goes on"
        ) from error


def _each(rows: Any) -> Generator[StoreOutcome]:
    iterator = iter(rows)
    try:
        for row in iterator:
            yield unpacked(row)
    finally:
        if hasattr(iterator, "close"):
            iterator.close()  # ends the execution; without it actors work on until the interpreter's end


def _pipeline(ray: Any, tasks: Sequence[StoreTask], setup: Setup, actors: ActorSpec, job: JobKey) -> Any:
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a block is one picture: it is missed at the end
    orders = [packed(Order(number, task)) for number, task in enumerate(tasks)]
    pictures = ray.data.from_items(orders, override_num_blocks=len(orders))
    read = pictures.map(read_row, num_cpus=0, concurrency=2 * actors.actors)  # they only wait for the network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a named parameter to come in place of max_task_retries
        larger = read.map(
            EnlargeRow,
            fn_constructor_args=(setup,),
            # One picture at a time: those that wait behind one that takes its process down would be blamed too.
            compute=ActorPoolStrategy(size=actors.actors, max_tasks_in_flight_per_actor=1),
            num_cpus=actors.cores,
            num_gpus=actors.gpus or None,
            max_task_retries=RETRIES,
        )
    return larger.map(WriteRow(job), num_cpus=0, concurrency=2 * actors.actors)


def _reason(error: BaseException) -> str:
    """Return the last line of what Ray says: the others are its own stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


Began = Callable[[ActorSpec], None]


def run_on_ray(
    plan: StorePlan, address: str, began: Began, on_end: Callable[[Ended], None], stop: StopRequest
) -> FolderResult:
    """Make all results of a plan on the cluster at `address`.

    `began` is told of the actors, `on_end` of every picture that ends. Raise RemoteError where the cluster or a store
    cannot be used at all, TargetError for a folder that cannot be written.
    """
    _note(plan)
    result = FolderResult()
    if not plan.tasks:
        return result
    pool = UpscalerPool(plan.options.upscale.model, EngineOptions(device="cpu", tile=plan.options.upscale.engine.tile))
    meter = Throughput(plan.tasks, pool)
    with connected(address):
        actors = plan_actors(plan.options.devices, plan.options.upscale.engine.threads, len(plan.tasks))
        began(actors)
        setup = setup_of(plan.tasks, plan.options, pool, actors)
        missing = dict(enumerate(plan.tasks))
        with closing(outcomes(plan.tasks, setup, actors, plan.job)) as ended:
            for outcome in ended:
                task = missing.pop(outcome.number)
                _settle(outcome, task, plan, meter, result, on_end)
                if stop.requested or result.stopped is not None:
                    break
        _end(list(missing.values()), stop, result, meter, on_end)
    return result


def _note(plan: StorePlan) -> None:
    """Note what the job is in every folder of results, which shows whether it can be written, and what was refused."""
    roots: dict[Root, None] = dict.fromkeys(task.picture.root for task in plan.tasks)
    roots.update(dict.fromkeys(root for root, _ in plan.to_note))
    content = json.dumps({"job": plan.job.id, "options": plan.job.options}).encode()
    for root in roots:
        store_of(root.place).write(join(root.place, f"{FOLDER}/{JOB}{plan.job.id}.json"), content)
    for root, record in plan.to_note:
        put_failure(root, record)


def put_failure(root: Root, record: Record) -> None:
    """Put the record of a picture that cannot be done."""
    store_of(root.place).write(join(root.place, record.key), record.content())


def _settle(
    outcome: StoreOutcome,
    task: StoreTask,
    plan: StorePlan,
    meter: Throughput,
    result: FolderResult,
    on_end: Callable[[Ended], None],
) -> None:
    """Count an outcome, and record a failure that the picture is to blame for."""
    if outcome.result is not None:
        result.done += 1
        _hear(Ended(task, meter.end(task, failed=False), outcome.result), result, on_end)
    elif outcome.stops:
        result.stopped = RemoteError(outcome.reason)
        result.left += 1
    else:
        if outcome.lasting:
            failed = record_of(task, plan.job, "failed", b"")
            put_record(task, replace(failed, error=outcome.reason, limits=limits_text(plan.options.upscale.limits)))
        _fail(task, outcome.reason, result, meter, on_end)


def _end(
    missing: list[StoreTask],
    stop: StopRequest,
    result: FolderResult,
    meter: Throughput,
    on_end: Callable[[Ended], None],
) -> None:
    """Count what was not begun, or what never came back."""
    if stop.requested or result.stopped is not None:
        result.left += len(missing)
        return
    for task in missing:
        times = f"was lost with its process, {RETRIES + 1} times"
        _fail(task, f"{display_text(task.source)} {times}; a smaller size needs less memory", result, meter, on_end)


def _fail(
    task: StoreTask, reason: str, result: FolderResult, meter: Throughput, on_end: Callable[[Ended], None]
) -> None:
    failure = Failure(task.source, reason)
    result.failures.append(failure)
    _hear(Ended(task, meter.end(task, failed=True), failure=failure), result, on_end)


def _hear(ended: Ended, result: FolderResult, on_end: Callable[[Ended], None]) -> None:
    result.status = ended.status
    on_end(ended)
