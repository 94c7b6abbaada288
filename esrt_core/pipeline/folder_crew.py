"""The engines that do the work of a folder: those of every device, or two for a CPU."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from esrt_core.engine.options import EngineOptions
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.folder_job import FolderJob
from esrt_core.pipeline.folder_places import Place
from esrt_core.pipeline.folder_plan import FolderPlan, Task
from esrt_core.pipeline.lineup import Lineup

LARGEST = 1 / 8  # of the px of a folder in one picture; were it the last one, half of the threads would have to do it


def make_crew(plan: FolderPlan) -> list[Engines]:
    """Return engines for every device of a plan that has work, with the tile that an earlier run shrank to.

    Two for a CPU alone, each with half of its threads, where no picture is a large part of the work: all threads take
    longer for one picture than half of them for two. Raise WeightsError or DeviceError where they cannot be used.
    """
    options = plan.options.upscale
    chains = {(task.plan.lineup, task.plan.size.passes) for task in plan.tasks}
    lineup, passes = plan.tasks[0].plan.lineup, plan.tasks[0].plan.size.passes
    crew: list[Engines] = []
    for device in _doubled(named_devices(plan.options.devices), options.engine.threads, plan.tasks):
        engines = _ready(Engines(options.model, replace(options.engine, device=device)), chains)
        kind = engines.of(lineup).upscaler(passes[0]).device_name.partition(":")[0]
        tile = _earlier_tile(plan.places.values(), plan.job, kind)
        if tile is not None:
            smaller: EngineOptions = replace(engines.options, tile=tile)
            engines = _ready(Engines(options.model, smaller), chains)
        crew.append(engines)
    return crew


def named_devices(devices: Sequence[str]) -> tuple[str, ...]:
    """Return the devices that are meant: "all" is every CUDA device, or what "auto" is where there is none."""
    if tuple(devices) != ("all",):
        return tuple(devices)
    from esrt_core.engine.device import cuda_devices

    return cuda_devices() or ("auto",)


def _doubled(devices: Sequence[str], threads: int | None, tasks: Sequence[Task]) -> Sequence[str]:
    """Return the devices, a lone CPU twice where its threads halve and no picture is a large part of the work."""
    from esrt_core.engine.device import choose_device, cpu_threads

    pixels = [task.plan.info.width * task.plan.info.height * task.plan.pages for task in tasks]
    if len(devices) > 1 or max(pixels) > LARGEST * sum(pixels) or (threads or cpu_threads()) % 2:
        return devices
    return (*devices, *devices) if choose_device(devices[0]).type == "cpu" else devices


def _ready(engines: Engines, chains: Iterable[tuple[Lineup, tuple[int, ...]]]) -> Engines:
    for lineup, passes in chains:
        engines.of(lineup).load(passes)
    return engines


def _earlier_tile(places: Iterable[Place], job: FolderJob, kind: str) -> int | None:
    """Return the smallest tile that an earlier run went on with on a kind of device after memory ran out."""
    tiles = [tile for place in places if (tile := place.manifest.smaller_tile.get((job.id, kind))) is not None]
    return min(tiles, default=None)
