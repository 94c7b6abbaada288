"""The three stages of a picture on many machines: read, enlarge, write. Whatever goes wrong is an outcome.

Between the stages a picture travels as pickled bytes: names that are no UTF-8 survive that, and Ray counts its size.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import DeviceError, EsrtError, MediaError, RemoteError, TargetError, WeightsError
from esrt_core.media.image.picture import RemoteFile
from esrt_core.pipeline.batch.manifest import Record
from esrt_core.pipeline.batch.outputs import JobKey
from esrt_core.pipeline.batch.run import STOPPING, reason_of
from esrt_core.pipeline.cluster.plan import StoreTask
from esrt_core.pipeline.cluster.storage import join, store_of
from esrt_core.pipeline.image.plan import Input
from esrt_core.pipeline.image.run import Result, upscale_picture
from esrt_core.selection import ChainSelector, ModelChain, ResolvedWeights, UpscalerPool
from esrt_core.system.process import configure_process
from esrt_core.weights.store import WeightsFile

Row = Mapping[str, bytes]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Order:
    """Hold a task and its number in the plan."""

    number: int
    task: StoreTask


@dataclass(frozen=True)
class Read:
    """Hold a picture's file as it was read."""

    order: Order
    content: bytes


@dataclass(frozen=True)
class Enlarged:
    """Hold a result's file, its comparison where one was asked for, and the process that made them."""

    order: Order
    result: Result
    content: bytes
    sheet: bytes | None
    host: str
    process: int


@dataclass(frozen=True)
class StoreOutcome:
    """Say what became of a task: a result, or why there is none.

    lasting   the picture itself is to blame, so that the failure is recorded; `stops` says that all others would fail.
    host      the machine on which the network ran, and `process` its id there.
    """

    number: int
    result: Result | None = None
    reason: str = ""
    lasting: bool = False
    stops: bool = False
    host: str = ""
    process: int = 0


@dataclass(frozen=True)
class Setup:
    """Hold what every actor needs: options, and the weights' files themselves, by model and scale."""

    selector: ChainSelector
    engine: EngineOptions
    weights: Mapping[tuple[str, int], tuple[WeightsFile, bytes]]


def passes_of(selector: ChainSelector) -> Iterator[tuple[ModelChain, int, int]]:
    """Yield every pass that a picture may take: its line-up, its location in the chain and its scale."""
    for chain in selector.all():
        yield from ((chain, location, scale) for location, scale in chain.passes())


def packed(item: object) -> Row:
    """Return an item as a row."""
    return {"item": pickle.dumps(item)}


def unpacked(row: Mapping[str, Any]) -> Any:
    """Return the item of a row that packed() made."""
    return pickle.loads(row["item"])


def read_row(row: Row) -> Row:
    """Read the picture of an order."""
    order: Order = unpacked(row)
    location = order.task.picture.location
    return packed(_guarded(order, lambda: Read(order, store_of(location).read(location)), ()))


class EnlargeRow:
    """Enlarge pictures that were read; an actor loads its networks once."""

    def __init__(self, setup: Setup) -> None:
        configure_process()  # the actor has its process to itself
        with tempfile.TemporaryDirectory(prefix="esrt-ray-") as folder:
            files = {key: _unpack(file, content, folder) for key, (file, content) in setup.weights.items()}
            self._pool = UpscalerPool(
                setup.selector.requested, setup.engine, resolved=ResolvedWeights(setup.selector, files)
            )
            for chain, location, scale in passes_of(setup.selector):
                if (chain.model(location), scale) in files:
                    self._pool.for_chain(chain).upscaler(scale, location)

    def __call__(self, row: Row) -> Row:
        """Enlarge the picture of a row; what is an outcome already goes on as it is."""
        item: Read | StoreOutcome = unpacked(row)
        if isinstance(item, StoreOutcome):
            return row
        return packed(_guarded(item.order, lambda: self._enlarge(item), (DeviceError, WeightsError)))

    def _enlarge(self, read: Read) -> Enlarged:
        task = read.order.task
        with tempfile.TemporaryDirectory(prefix="esrt-ray-") as folder:
            source = Input(RemoteFile(task.source, lambda: io.BytesIO(read.content)))
            path = Path(folder, "result").with_suffix(Path(task.key).suffix)
            plan = replace(task.plan, source=source, target=replace(task.plan.target, path=path))
            made = upscale_picture(plan, self._pool)
            sheet = None if made.sheet is None else Path(made.sheet).read_bytes()
            content = path.read_bytes()
        named = replace(made, source=task.source, target=task.target, sheet=None)
        return Enlarged(read.order, named, content, sheet, socket.gethostname(), os.getpid())


def _unpack(file: WeightsFile, content: bytes, folder: str) -> WeightsFile:
    """Write weights that came along into a file."""
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise WeightsError(f"{file.name} x{file.scale} came damaged to {socket.gethostname()}; run the command again")
    path = Path(folder, f"{file.sha256}{file.path.suffix}")
    path.write_bytes(content)
    return replace(file, path=path)


class WriteRow:
    """Put results and their records: "writing", the result, then "done"."""

    def __init__(self, job: JobKey) -> None:
        self._job = job

    def __call__(self, row: Row) -> Row:
        """Put the result of a row; what is an outcome already goes on as it is."""
        item: Enlarged | StoreOutcome = unpacked(row)
        if isinstance(item, StoreOutcome):
            return row
        return packed(_guarded(item.order, lambda: self._write(item), (RemoteError,)))

    def _write(self, made: Enlarged) -> StoreOutcome:
        task, result = made.order.task, made.result
        put_result(task, self._job, made.content)
        if made.sheet is not None:
            location = task.location_of(task.sheet)
            store_of(location).write(location, made.sheet)
            result = replace(result, sheet=join(task.picture.root.name, task.sheet))
        put_record(task, record_of(task, self._job, "done", made.content))
        if task.failed_before:
            failed = task.location_of(record_of(task, self._job, "failed", b"").key)
            store_of(failed).remove(failed)
        return StoreOutcome(made.order.number, result, host=made.host, process=made.process)


def put_result(task: StoreTask, job: JobKey, content: bytes) -> None:
    """Say in the record that a result comes, and put it."""
    put_record(task, record_of(task, job, "writing", content))
    location = task.location_of(task.key)
    store_of(location).write(location, content)


def put_record(task: StoreTask, record: Record) -> None:
    """Put a picture's record."""
    location = task.location_of(record.key)
    store_of(location).write(location, record.content())


def record_of(task: StoreTask, job: JobKey, state: str, content: bytes) -> Record:
    """Return the record of a picture whose result is `content`."""
    record = Record(state, job.id, task.picture.location, task.picture.item.stamp)
    if state == "failed":
        return record
    sha256 = hashlib.sha256(content).hexdigest()
    replaces = task.replaces if state == "writing" else None
    return replace(record, target=task.key, target_size=len(content), sha256=sha256, replaces=replaces)


def _guarded(order: Order, work: Callable[[], Item], stopping: tuple[type[EsrtError], ...]) -> Item | StoreOutcome:
    """Do a part of a task; what goes wrong is its outcome, not the pipeline's end. `stopping` errors concern all."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 (one bad picture never stops the rest; the error is reported)
        stops = isinstance(error, stopping) or _is_full(error)
        return StoreOutcome(order.number, None, reason_of(error), isinstance(error, MediaError), stops)


def _is_full(error: Exception) -> bool:
    """Tell whether a disk is full or gone."""
    cause = error.__cause__
    return isinstance(error, TargetError) and isinstance(cause, OSError) and cause.errno in STOPPING
