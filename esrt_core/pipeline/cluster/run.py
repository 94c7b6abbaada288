"""Run the plan of a folder on a Ray cluster, as a Ray Data pipeline: read, enlarge on actors, write.

Results are recorded as they appear, and one bad picture never stops the rest.
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
from typing import Any, Protocol

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import EsrtError, OptionError, RemoteError
from esrt_core.files import display_text
from esrt_core.pipeline.batch.faults import IN_A_ROW, FaultCounter, append_fault
from esrt_core.pipeline.batch.manifest import FOLDER, JOB, Entry
from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.outputs import JobKey, limits_text
from esrt_core.pipeline.batch.plan import Failure, Task
from esrt_core.pipeline.batch.run import Ended, FolderResult, StopRequest
from esrt_core.pipeline.batch.sources import Root
from esrt_core.pipeline.batch.storage import join, store_of
from esrt_core.pipeline.batch.throughput import Throughput
from esrt_core.pipeline.cluster.plan import StorePlan, plan_store
from esrt_core.pipeline.cluster.stages import (
    EnlargeRow,
    Parcel,
    Setup,
    StoreOutcome,
    WriteRow,
    packed,
    passes_of,
    read_row,
    record_of,
    unpacked,
    write_record,
)
from esrt_core.selection import UpscalerPool
from esrt_core.system.process import suppress_native_stderr

LOCAL = "local"
_CORES = 4  # of one actor without a GPU; more speed up one network only a little
_CONNECT_SECONDS = 10.0
_DEVICES = ("auto", "cpu", "cuda")
RETRIES = 3  # of a picture whose process dies; more could take down one process after the other


@dataclass(frozen=True)
class ActorSpec:
    """Hold the number of actors and the CPU cores and GPUs of each; `device` is the engine's."""

    actors: int
    cores: int
    gpus: int
    device: str


class Listener(Protocol):
    """Receive the events of upscale_on_ray()."""

    def planned(self, plan: StorePlan, workers: Sequence[UpscalerPool]) -> None:
        """Handle the plan, before the work; `workers` is empty because they are on the cluster."""

    def note(self, text: str) -> None:
        """Handle a note about the weights."""

    def workers(self, workers: ActorSpec) -> None:
        """Handle the actors that the cluster has room for."""

    def ended(self, ended: Ended) -> None:
        """Handle a picture that ended."""


OnStart = Callable[[ActorSpec], None]


def upscale_on_ray(
    options: FolderOptions, address: str, listener: Listener, stop: StopRequest | None = None, *, dry_run: bool = False
) -> FolderResult:
    """Plan pictures on this machine and upscale them on the cluster at `address`; with `dry_run`, only plan them.

    Raises: what upscale_folder() raises, and RemoteError if the cluster or a store cannot be used.
    """
    check_cluster_options(address, options.devices)
    pool = UpscalerPool(options.upscale.model, options.upscale.engine)
    plan = plan_store(options, pool)
    for note in pool.notes:
        listener.note(note)
    listener.planned(plan, [])
    if dry_run:
        return FolderResult()
    return run_on_ray(plan, address, listener.workers, listener.ended, stop or StopRequest())


def run_on_ray(
    plan: StorePlan, address: str, on_start: OnStart, on_end: Callable[[Ended], None], stop: StopRequest
) -> FolderResult:
    """Upscale the pictures of a plan on the cluster at `address`.

    `on_start` receives the actors, `on_end` every picture that ends.

    Raises: RemoteError if the cluster or a store cannot be used at all, TargetError if a folder cannot be written,
    RuntimeError with the traceback of a fault of this program that three pictures in a row have run into.
    """
    _record_plan(plan)
    result, faults = FolderResult(), FaultCounter(append_fault)
    result.fault_logs = faults.logs
    for fault, source, root in plan.faults:
        faults.keep(fault, source, root.location)
    if not plan.tasks:
        return result
    pool = UpscalerPool(plan.options.upscale.model, EngineOptions(device="cpu", tile=plan.options.upscale.engine.tile))
    throughput = Throughput(plan.tasks, pool)
    with connected(address):
        actors = plan_actors(plan.options.devices, plan.options.upscale.engine.threads, len(plan.tasks))
        on_start(actors)
        setup = setup_of(plan.tasks, plan.options, pool, actors)
        missing = dict(enumerate(plan.tasks))
        with closing(outcomes(plan.tasks, setup, actors, plan.job)) as ended:
            for outcome in ended:
                task = missing.pop(outcome.number)
                _count(outcome, task, plan, throughput, result, on_end)
                _check_fault(outcome, task, faults)
                if stop.requested or result.stopped is not None:
                    break
        _end(list(missing.values()), stop, result, throughput, on_end)
    return result


def check_cluster_options(address: str, devices: Sequence[str]) -> None:
    """Raise OptionError if the address or the devices cannot be used with a cluster."""
    if not address:
        raise OptionError("--ray needs a value: local, auto or host:port")
    if "://" in address:
        raise OptionError(
            f"--ray {address}: Ray Data does not work through the Ray client; run the command on a machine of the "
            "cluster with --ray auto"
        )
    if len(devices) != 1 or devices[0] not in _DEVICES:
        raise OptionError(
            f"--device {','.join(devices)} names a device of this machine; with --ray use {', '.join(_DEVICES)}"
        )


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a cluster for the duration of the block, or start Ray on this machine ("local").

    An existing connection of this process is used and left open.

    Raises: RemoteError if the package is missing or no cluster answers.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        _connect(ray, address)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray replaces the handler with one that exits at once
        yield
    finally:
        ray.shutdown()


def plan_actors(devices: Sequence[str], threads: int | None, pictures: int) -> ActorSpec:
    """Return the actors that a connected cluster has room for: one per GPU, or one per few cores.

    Raises: RemoteError if it has no room for the requested device or threads.
    """
    nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if devices[0] == "cuda" and not gpus:
        raise RemoteError("no machine of the cluster has a GPU; omit --device, or start Ray with --num-gpus")
    if gpus and devices[0] != "cpu":
        return ActorSpec(min(gpus, pictures), threads or 1, 1, "cuda")
    return _on_cores([int(node.get("CPU", 0)) for node in nodes], threads, pictures)


def _on_cores(cores: Sequence[int], threads: int | None, pictures: int) -> ActorSpec:
    share = threads or min(_CORES, max(cores, default=0))
    actors = sum(count // share for count in cores) if share else 0
    if not actors:
        raise RemoteError(
            f"no machine of the cluster has {share or 'any'} cores; use fewer --threads, or start Ray with --num-cpus"
        )
    return ActorSpec(min(actors, pictures), share, 0, "cpu")


def import_ray() -> Any:
    """Return the ray package.

    Raises: RemoteError if it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise RemoteError('--ray needs an extra: pip install ".[ray]"') from error
    return ray


def _connect(ray: Any, address: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for name, level in (("RAY_DATA_LOG_LEVEL", "CRITICAL"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
        os.environ.setdefault(name, level)  # our own messages replace its logs
    quiet: Mapping[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        _check_listening(address)
        with suppress_native_stderr():  # Ray's native code writes there
            if address == LOCAL:
                ray.init(address=LOCAL, include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
        ray._private.worker._worker_logs_enabled = False  # else it reports lost processes on standard output
    except Exception as error:  # Ray itself raises bare Exceptions when a node does not start
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise RemoteError(
            f"no Ray cluster at {address} ({reason}); start one with 'ray start --head', or use --ray local"
        ) from error


def _check_listening(address: str) -> None:
    """Raise OSError if nothing listens at host:port; Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()


def setup_of(tasks: Sequence[Task], options: FolderOptions, pool: UpscalerPool, actors: ActorSpec) -> Setup:
    """Return what every actor needs, the weights' content included, so that other machines need no weights files."""
    chains = {choice for task in tasks for choice in task.plan.choices}
    passes = {(chain, pass_index, scale) for chain, scales in chains for pass_index, scale in enumerate(scales)}
    if any(task.plan.pages > 1 for task in tasks):  # a page of another size may need other passes
        passes.update(passes_of(pool.selector))
    weights = {}
    for chain, pass_index, scale in passes:
        file = pool.for_chain(chain).weights(scale, pass_index)
        weights[chain.model(pass_index), scale] = (file, file.path.read_bytes())
    threads = actors.cores if actors.device == "cpu" else options.upscale.engine.threads
    engine = replace(options.upscale.engine, device=actors.device, threads=threads)
    return Setup(pool.selector, engine, weights)


def outcomes(tasks: Sequence[Task], setup: Setup, actors: ActorSpec, job: JobKey) -> Generator[StoreOutcome]:
    """Yield the outcomes of tasks as they end; a task whose process died on every try has none.

    Closing the iterator early cancels the work.

    Raises: RemoteError if the cluster fails.
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
            f"the Ray cluster failed ({_reason(error)}); check that every machine has the same version of esrt, then "
            "rerun to resume"
        ) from error


def _each(rows: Any) -> Generator[StoreOutcome]:
    iterator = iter(rows)
    try:
        for row in iterator:
            yield unpacked(row)
    finally:
        if hasattr(iterator, "close"):
            iterator.close()  # ends the execution; without it actors continue until the interpreter exits


def _pipeline(ray: Any, tasks: Sequence[Task], setup: Setup, actors: ActorSpec, job: JobKey) -> Any:
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a block is one picture; _end() reports the missing ones
    orders = [packed(Parcel(number, task)) for number, task in enumerate(tasks)]
    pictures = ray.data.from_items(orders, override_num_blocks=len(orders))
    read = pictures.map(read_row, num_cpus=0, concurrency=2 * actors.actors)  # they only wait for storage
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray announces another parameter in place of max_task_retries
        larger = read.map(
            EnlargeRow,
            fn_constructor_args=(setup,),
            # One picture at a time: those queued behind one that kills its process would count as failed too.
            compute=ActorPoolStrategy(size=actors.actors, max_tasks_in_flight_per_actor=1),
            num_cpus=actors.cores,
            num_gpus=actors.gpus or None,
            max_task_retries=RETRIES,
        )
    return larger.map(WriteRow(job), num_cpus=0, concurrency=2 * actors.actors)


def _reason(error: BaseException) -> str:
    """Return the last line of a Ray error; the others are its own stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


def _record_plan(plan: StorePlan) -> None:
    """Record the job in every folder of results, which shows whether it can be written, and the refused pictures."""
    roots: dict[Root, None] = dict.fromkeys(task.picture.root for task in plan.tasks)
    roots |= dict.fromkeys([root for root, _ in plan.to_note] + [root for _, _, root in plan.faults])
    content = json.dumps({"job": plan.job.id, "options": plan.job.options}).encode()
    for root in roots:
        store_of(root.location).write(join(root.location, f"{FOLDER}/{JOB}{plan.job.id}.json"), content)
    for root, record in plan.to_note:
        write_failure(root, record)


def write_failure(root: Root, record: Entry) -> None:
    """Write the record of a picture that cannot be upscaled."""
    store_of(root.location).write(join(root.location, record.key), record.content())


def _count(
    outcome: StoreOutcome,
    task: Task,
    plan: StorePlan,
    throughput: Throughput,
    result: FolderResult,
    on_end: Callable[[Ended], None],
) -> None:
    """Count an outcome, and record a failure if the picture itself is the cause."""
    if outcome.result is not None:
        result.done += 1
        _report(Ended(task, throughput.end(task, failed=False), outcome.result), result, on_end)
    elif outcome.stops:
        result.stopped = RemoteError(outcome.reason)
        result.remaining += 1
    else:
        if outcome.lasting:
            failed = record_of(task, plan.job, "failed", b"")
            write_record(task, replace(failed, error=outcome.reason, limits=limits_text(plan.options.upscale.limits)))
        _fail(task, outcome.reason, result, throughput, on_end)


def _check_fault(outcome: StoreOutcome, task: Task, faults: FaultCounter) -> None:
    """Keep the traceback of a fault of this program; raise RuntimeError with it if it happens again and again."""
    if faults.add(outcome.fault, task.picture.name, task.picture.root.location) and outcome.fault is not None:
        raise RuntimeError(f"{IN_A_ROW} pictures in a row failed like {task.picture.name}:\n{outcome.fault.text}")


def _end(
    missing: list[Task],
    stop: StopRequest,
    result: FolderResult,
    throughput: Throughput,
    on_end: Callable[[Ended], None],
) -> None:
    """Count the tasks without an outcome: not started after a stop, else lost with their process."""
    if stop.requested or result.stopped is not None:
        result.remaining += len(missing)
        return
    for task in missing:
        name = display_text(task.picture.name)
        reason = f"{name} killed its process {RETRIES + 1} times; a smaller size needs less memory"
        _fail(task, reason, result, throughput, on_end)


def _fail(
    task: Task, reason: str, result: FolderResult, throughput: Throughput, on_end: Callable[[Ended], None]
) -> None:
    failure = Failure(task.source, reason)
    result.failures.append(failure)
    _report(Ended(task, throughput.end(task, failed=True), failure=failure), result, on_end)


def _report(ended: Ended, result: FolderResult, on_end: Callable[[Ended], None]) -> None:
    result.status = ended.status
    on_end(ended)
