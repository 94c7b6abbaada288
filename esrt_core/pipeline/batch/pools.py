"""The networks of a folder: a loaded pool for every device that works on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from esrt_core.engine.gpu import named_devices, resolve_device
from esrt_core.engine.options import EngineOptions
from esrt_core.engine.threads import cpu_threads
from esrt_core.pipeline.batch.manifest import Manifest
from esrt_core.pipeline.batch.outputs import JobKey
from esrt_core.pipeline.batch.plan import FolderPlan, Task
from esrt_core.selection import ModelChain, UpscalerPool

LARGEST = 1 / 8  # of a folder's px in one picture; if it came last, half of the threads would have to upscale it


def make_workers(plan: FolderPlan) -> list[UpscalerPool]:
    """Return a loaded pool for every device of a plan with tasks, with the smaller tile of an earlier run.

    A lone CPU gets two, each with half of its threads, if no picture is a large part of the work: all threads take
    longer for one picture than half of them for two.

    Raises: WeightsError or DeviceError if weights or a device are unusable.
    """
    options = plan.options.upscale
    chains = {choice for task in plan.tasks for choice in task.plan.choices}
    chain, passes = plan.tasks[0].plan.chain, plan.tasks[0].plan.size.passes
    workers: list[UpscalerPool] = []
    devices = _doubled(named_devices(plan.options.devices), options.engine.threads, plan.tasks)
    threads = None if options.engine.threads is None else max(1, options.engine.threads // len(devices))
    for device in devices:
        pool = _ready(UpscalerPool(options.model, replace(options.engine, device=device, threads=threads)), chains)
        kind = pool.for_chain(chain).upscaler(passes[0]).device_name.partition(":")[0]
        tile = _earlier_tile(plan.logs.values(), plan.job, kind)
        if tile is not None:
            smaller: EngineOptions = replace(pool.options, tile=tile)
            pool = _ready(UpscalerPool(options.model, smaller), chains)
        workers.append(pool)
    return workers


def prepare_workers(workers: Sequence[UpscalerPool], plan: FolderPlan) -> None:
    """Load what loaded pools lack for another plan.

    Raises: WeightsError or DeviceError if weights or a device are unusable.
    """
    chains = {(task.plan.chain, task.plan.size.passes) for task in plan.tasks}
    for pool in workers:
        _ready(pool, chains)


def _doubled(devices: Sequence[str], threads: int | None, tasks: Sequence[Task]) -> Sequence[str]:
    """Return the devices, a lone CPU twice if its threads are even and no picture is a large part of the work."""
    pixels = [task.plan.info.width * task.plan.info.height * task.plan.pages for task in tasks]
    if len(devices) > 1 or max(pixels) > LARGEST * sum(pixels) or (threads or cpu_threads()) % 2:
        return devices
    return (*devices, *devices) if resolve_device(devices[0]) == "cpu" else devices


def _ready(pool: UpscalerPool, chains: Iterable[tuple[ModelChain, tuple[int, ...]]]) -> UpscalerPool:
    for chain, passes in chains:
        pool.for_chain(chain).load(passes)
    return pool


def _earlier_tile(logs: Iterable[Manifest], job: JobKey, kind: str) -> int | None:
    """Return the smallest tile that an earlier run used on a kind of device after memory ran out."""
    tiles = [tile for log in logs if (tile := log.smaller_tile.get((job.id, kind))) is not None]
    return min(tiles, default=None)
