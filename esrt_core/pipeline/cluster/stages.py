"""The three stages of a picture on a cluster: read, enlarge, write. Every error becomes an outcome.

Reading fetches the file, so that no actor waits for storage; an actor decodes, enlarges and encodes by the steps of a
single picture. Between the stages a picture travels as pickled bytes: names that are not UTF-8 survive that, and Ray
can count its size.
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
from esrt_core.errors import DeviceError, EsrtError, MediaError, RemoteError, WeightsError
from esrt_core.files import display_text
from esrt_core.media.image.picture import RemoteFile
from esrt_core.pipeline.batch.faults import Fault, fault_of, is_lost_device, is_lost_disk, reason_of
from esrt_core.pipeline.batch.manifest import Entry
from esrt_core.pipeline.batch.outputs import JobKey
from esrt_core.pipeline.batch.plan import Task
from esrt_core.pipeline.batch.storage import join, store_of
from esrt_core.pipeline.image.plan import Input
from esrt_core.pipeline.image.run import Result, upscale_picture
from esrt_core.selection import ChainSelector, ModelChain, ResolvedWeights, UpscalerPool
from esrt_core.system.process import configure_process
from esrt_core.weights.store import WeightsFile

Row = Mapping[str, bytes]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Parcel:
    """Hold a task between two stages: its number in the plan and its file, then the result and its files.

    content  of the picture's file, then of the result's; `sheet` is that of its comparison, if one was requested.
    host     the machine that enlarged it, and `process` the id of the process there.
    """

    number: int
    task: Task
    content: bytes = b""
    result: Result | None = None
    sheet: bytes | None = None
    host: str = ""
    process: int = 0


@dataclass(frozen=True)
class StoreOutcome:
    """Report the end of a task: a result, or why there is none.

    lasting  the picture itself is the cause, so that the failure is recorded.
    fault    this program is the cause.
    stops    all other pictures would fail too.
    host     the machine on which the network ran, and `process` the id of the process there.
    """

    number: int
    result: Result | None = None
    reason: str = ""
    lasting: bool = False
    fault: Fault | None = None
    stops: bool = False
    host: str = ""
    process: int = 0


@dataclass(frozen=True)
class Setup:
    """Hold what every actor needs: options, and the content of the weights files, by (model, scale)."""

    selector: ChainSelector
    engine: EngineOptions
    weights: Mapping[tuple[str, int], tuple[WeightsFile, bytes]]


def passes_of(selector: ChainSelector) -> Iterator[tuple[ModelChain, int, int]]:
    """Yield every pass that a picture may take: its chain, its index in the chain and its scale."""
    for chain in selector.all():
        yield from ((chain, pass_index, scale) for pass_index, scale in chain.passes())


def packed(item: object) -> Row:
    """Return an item as a row."""
    return {"item": pickle.dumps(item)}


def unpacked(row: Mapping[str, Any]) -> Any:
    """Return the item of a row made by packed()."""
    return pickle.loads(row["item"])


def read_row(row: Row) -> Row:
    """Read the file of a task."""
    parcel: Parcel = unpacked(row)
    location = parcel.task.picture.location
    return packed(_guarded(parcel, lambda: replace(parcel, content=store_of(location).read(location)), ()))


class EnlargeRow:
    """Upscale pictures that were read; an actor loads its networks once."""

    def __init__(self, setup: Setup) -> None:
        configure_process()  # the actor has its process to itself
        with tempfile.TemporaryDirectory(prefix="esrt-ray-") as folder:
            files = {key: _unpack(file, content, folder) for key, (file, content) in setup.weights.items()}
            self._pool = UpscalerPool(
                setup.selector.requested, setup.engine, resolved=ResolvedWeights(setup.selector, files)
            )
            for chain, pass_index, scale in passes_of(setup.selector):
                if (chain.model(pass_index), scale) in files:
                    self._pool.for_chain(chain).upscaler(scale, pass_index)

    def __call__(self, row: Row) -> Row:
        """Upscale the picture of a row; pass an outcome on unchanged."""
        item: Parcel | StoreOutcome = unpacked(row)
        if isinstance(item, StoreOutcome):
            return row
        return packed(_guarded(item, lambda: self._enlarge(item), (DeviceError, WeightsError)))

    def _enlarge(self, parcel: Parcel) -> Parcel:
        task = parcel.task
        with tempfile.TemporaryDirectory(prefix="esrt-ray-") as folder:
            source = Input(RemoteFile(task.picture.name, lambda: io.BytesIO(parcel.content)))
            path = Path(folder, "result").with_suffix(Path(task.key).suffix)
            plan = replace(task.plan, source=source, target=replace(task.plan.target, path=path))
            made = upscale_picture(plan, self._pool)
            sheet = None if made.sheet is None else Path(made.sheet).read_bytes()
            content = path.read_bytes()
        named = replace(made, source=task.picture.name, target=str(task.target), sheet=None)
        return Parcel(parcel.number, task, content, named, sheet, socket.gethostname(), os.getpid())


def _unpack(file: WeightsFile, content: bytes, folder: str) -> WeightsFile:
    """Write the content of weights into a file.

    Raises: WeightsError if it was corrupted on its way.
    """
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise WeightsError(f"{file.name} x{file.scale} arrived corrupted at {socket.gethostname()}; rerun the command")
    path = Path(folder, f"{file.sha256}{file.path.suffix}")
    path.write_bytes(content)
    return replace(file, path=path)


class WriteRow:
    """Write results and their records: "writing", the result, then "done"."""

    def __init__(self, job: JobKey) -> None:
        self._job = job

    def __call__(self, row: Row) -> Row:
        """Write the result of a row; pass an outcome on unchanged."""
        item: Parcel | StoreOutcome = unpacked(row)
        if isinstance(item, StoreOutcome):
            return row
        return packed(_guarded(item, lambda: self._write(item), (RemoteError,)))

    def _write(self, parcel: Parcel) -> StoreOutcome:
        task, result = parcel.task, parcel.result
        model = "" if result is None else result.model
        write_result(task, self._job, parcel.content)
        if result is not None and parcel.sheet is not None:
            location = task.location_of(task.sheet)
            store_of(location).write(location, parcel.sheet)
            result = replace(result, sheet=join(task.picture.root.name, task.sheet))
        write_record(task, replace(record_of(task, self._job, "done", parcel.content), model=model))
        if task.failed_before:
            failed = task.location_of(record_of(task, self._job, "failed", b"").key)
            store_of(failed).remove(failed)
        return StoreOutcome(parcel.number, result, host=parcel.host, process=parcel.process)


def write_result(task: Task, job: JobKey, content: bytes) -> None:
    """Write a result after a record that says so."""
    write_record(task, record_of(task, job, "writing", content))
    location = task.location_of(task.key)
    store_of(location).write(location, content)


def write_record(task: Task, record: Entry) -> None:
    """Write a picture's record."""
    location = task.location_of(record.key)
    store_of(location).write(location, record.content())


def record_of(task: Task, job: JobKey, state: str, content: bytes) -> Entry:
    """Return the record of a picture in a state; `content` is its result."""
    record = Entry(state, job.id, task.picture.location, task.picture.item.stamp)
    if state == "failed":
        return record
    sha256 = hashlib.sha256(content).hexdigest()
    replaces = task.replaces if state == "writing" else None
    return replace(record, target=task.key, target_size=len(content), sha256=sha256, replaces=replaces)


def _guarded(parcel: Parcel, work: Callable[[], Item], stopping: tuple[type[EsrtError], ...]) -> Item | StoreOutcome:
    """Run one stage of a task; return an outcome if it fails. `stopping` errors would affect all other tasks too."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 (whatever one picture does must not end the others; it is reported)
        reason, fault = reason_of(error, display_text(parcel.task.picture.name)), fault_of(error)
        lasting = isinstance(error, MediaError) or fault is not None
        stops = isinstance(error, stopping) or is_lost_device(error) or is_lost_disk(error)
        return StoreOutcome(parcel.number, None, reason, lasting, None if stops else fault, stops)
