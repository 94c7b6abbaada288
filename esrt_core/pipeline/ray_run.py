"""Carry out the plan of many pictures on a cluster: nothing is lost, and one bad picture never stops the rest."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from esrt_core.engine.options import EngineOptions
from esrt_core.errors import RemoteError
from esrt_core.files import display_text
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_job import limits_text
from esrt_core.pipeline.folder_meter import FolderMeter
from esrt_core.pipeline.folder_plan import Failure
from esrt_core.pipeline.folder_run import Ended, FolderResult, Stop
from esrt_core.pipeline.ray_cluster import Crew, connected, crew_for
from esrt_core.pipeline.ray_flow import RETRIES, outcomes, setup_of
from esrt_core.pipeline.ray_stages import StoreOutcome, put_record, record_of
from esrt_core.pipeline.store import join
from esrt_core.pipeline.store_plan import StorePlan, StoreTask
from esrt_core.pipeline.store_sources import Root
from esrt_core.pipeline.stores import store_of
from esrt_core.records import FOLDER, JOB, Record

Began = Callable[[Crew], None]


def run_on_ray(plan: StorePlan, address: str, began: Began, heard: Callable[[Ended], None], stop: Stop) -> FolderResult:
    """Make all results of a plan on the cluster at `address`.

    `began` is told of the actors, `heard` of every picture that ends. Raise RemoteError where the cluster or a store
    cannot be used at all, TargetError for a folder that cannot be written.
    """
    _note(plan)
    result = FolderResult()
    if not plan.tasks:
        return result
    engines = Engines(plan.options.upscale.model, EngineOptions(device="cpu", tile=plan.options.upscale.engine.tile))
    meter = FolderMeter(plan.tasks, engines)
    with connected(address):
        crew = crew_for(plan.options.devices, plan.options.upscale.engine.threads, len(plan.tasks))
        began(crew)
        setup = setup_of(plan.tasks, plan.options, engines, crew)
        missing = dict(enumerate(plan.tasks))
        with closing(outcomes(plan.tasks, setup, crew, plan.job)) as ended:
            for outcome in ended:
                task = missing.pop(outcome.number)
                _settle(outcome, task, plan, meter, result, heard)
                if stop.asked or result.stopped is not None:
                    break
        _end(list(missing.values()), stop, result, meter, heard)
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
    meter: FolderMeter,
    result: FolderResult,
    heard: Callable[[Ended], None],
) -> None:
    """Count an outcome, and record a failure that the picture is to blame for."""
    if outcome.result is not None:
        result.done += 1
        _hear(Ended(task, meter.end(task, failed=False), outcome.result), result, heard)
    elif outcome.stops:
        result.stopped = RemoteError(outcome.reason)
        result.left += 1
    else:
        if outcome.lasting:
            failed = record_of(task, plan.job, "failed", b"")
            put_record(task, replace(failed, error=outcome.reason, limits=limits_text(plan.options.upscale.limits)))
        _fail(task, outcome.reason, result, meter, heard)


def _end(
    missing: list[StoreTask], stop: Stop, result: FolderResult, meter: FolderMeter, heard: Callable[[Ended], None]
) -> None:
    """Count what was not begun, or what never came back."""
    if stop.asked or result.stopped is not None:
        result.left += len(missing)
        return
    for task in missing:
        times = f"was lost with its process, {RETRIES + 1} times"
        _fail(task, f"{display_text(task.source)} {times}; a smaller size needs less memory", result, meter, heard)


def _fail(
    task: StoreTask, reason: str, result: FolderResult, meter: FolderMeter, heard: Callable[[Ended], None]
) -> None:
    failure = Failure(task.source, reason)
    result.failures.append(failure)
    _hear(Ended(task, meter.end(task, failed=True), failure=failure), result, heard)


def _hear(ended: Ended, result: FolderResult, heard: Callable[[Ended], None]) -> None:
    result.status = ended.status
    heard(ended)
