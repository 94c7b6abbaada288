"""Folders of pictures for tests: planned, run and looked at."""

from collections.abc import Callable
from pathlib import Path

from esrt_core.pipeline.batch.options import FolderOptions
from esrt_core.pipeline.batch.plan import FolderPlan, plan_folder
from esrt_core.pipeline.batch.pools import make_workers
from esrt_core.pipeline.batch.run import Ended, FolderResult, StopRequest, run_folder
from esrt_core.selection import UpscalerPool

Asked = Callable[..., FolderOptions]


def planned(options: FolderOptions) -> FolderPlan:
    return plan_folder(options, UpscalerPool(options.upscale.model, options.upscale.engine))


def run(options: FolderOptions, heard: Callable[[Ended], None] = lambda ended: None) -> FolderResult:
    plan = planned(options)
    return run_folder(plan, make_workers(plan) if plan.tasks else [], heard, StopRequest())


def results(folder: str = "in_x2") -> dict[str, bytes]:
    files = (path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".esrt-manifest"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
