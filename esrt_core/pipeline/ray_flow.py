"""Pictures through a cluster, as a Ray Data pipeline: read, enlarge on actors, write."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from esrt_core.errors import EsrtError, RemoteError
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_job import FolderJob
from esrt_core.pipeline.folder_options import FolderOptions
from esrt_core.pipeline.ray_cluster import Crew, import_ray
from esrt_core.pipeline.ray_stages import (
    EnlargeRow,
    Order,
    Setup,
    StoreOutcome,
    WriteRow,
    packed,
    passes_of,
    read_row,
    unpacked,
)
from esrt_core.pipeline.store_plan import StoreTask

RETRIES = 3  # of a picture whose process ends; then it is left, lest it takes down one process after the other


def setup_of(tasks: Sequence[StoreTask], options: FolderOptions, engines: Engines, crew: Crew) -> Setup:
    """Return what the actors of a crew need. The weights go along: the other machines need no file of them."""
    chains = {(task.plan.lineup, task.plan.size.passes) for task in tasks}
    passes = {(lineup, place, scale) for lineup, chain in chains for place, scale in enumerate(chain)}
    if any(task.plan.pages > 1 for task in tasks):  # a page of another size may take other passes
        passes.update(passes_of(engines.lineups))
    weights = {}
    for lineup, place, scale in passes:
        file = engines.of(lineup).weights(scale, place)
        weights[lineup.model(place), scale] = (file, file.path.read_bytes())
    threads = crew.cores if crew.device == "cpu" else options.upscale.engine.threads
    engine = replace(options.upscale.engine, device=crew.device, threads=threads)
    return Setup(engines.lineups, engine, weights)


def outcomes(tasks: Sequence[StoreTask], setup: Setup, crew: Crew, job: FolderJob) -> Generator[StoreOutcome]:
    """Yield what becomes of the tasks, as they end; a task whose processes ended each time has no outcome.

    When the iterator is closed early, the work is broken off. Raise RemoteError where the cluster fails.
    """
    ray = import_ray()
    try:
        rows = _pipeline(ray, tasks, setup, crew, job).iter_rows()
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


def _pipeline(ray: Any, tasks: Sequence[StoreTask], setup: Setup, crew: Crew, job: FolderJob) -> Any:
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a block is one picture: it is missed at the end
    orders = [packed(Order(number, task)) for number, task in enumerate(tasks)]
    pictures = ray.data.from_items(orders, override_num_blocks=len(orders))
    read = pictures.map(read_row, num_cpus=0, concurrency=2 * crew.actors)  # they only wait for the network
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a named parameter to come in place of max_task_retries
        larger = read.map(
            EnlargeRow,
            fn_constructor_args=(setup,),
            # One picture at a time: those that wait behind one that takes its process down would be blamed too.
            compute=ActorPoolStrategy(size=crew.actors, max_tasks_in_flight_per_actor=1),
            num_cpus=crew.cores,
            num_gpus=crew.gpus or None,
            max_task_retries=RETRIES,
        )
    return larger.map(WriteRow(job), num_cpus=0, concurrency=2 * crew.actors)


def _reason(error: BaseException) -> str:
    """Return the last line of what Ray says: the others are its own stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
