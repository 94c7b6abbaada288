"""`esrt info`: show versions, devices, memory, weights and folders, as text or JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from esrt_cli import params
from esrt_cli.config import config_path
from esrt_cli.console import Console
from esrt_cli.figures import counted, figure
from esrt_cli.report import verification_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esrt_core.machine import DeviceReport, MachineReport, SpeedReport
    from esrt_core.weights.settings import StoreOptions
    from esrt_core.weights.store import Verification


BenchOpt = Annotated[
    bool, typer.Option("--bench", help="Measure megapixels per second at x2 and x4, for about 10 seconds.")
]


def info(bench: BenchOpt = False, json: params.JsonOpt = False) -> None:
    """Show versions, devices (each is tested), memory, weights, and why a GPU cannot be used.

    \b
    Examples:
      esrt info
      esrt info --bench
      esrt info --json
    """
    console = Console()
    if bench:
        console.start("measuring the speed of this machine ...")
        print_speed(console, as_json=json)
        return
    console.start("testing this machine ...")
    from esrt_core.errors import WeightsError
    from esrt_core.machine import inspect_machine
    from esrt_core.weights.settings import store_options
    from esrt_core.weights.store import verify_weights

    store = store_options()
    try:
        weights = verify_weights(None, None, store)
    except WeightsError as error:  # an index that cannot be read must not hide the rest
        console.error(str(error))
        weights = verify_weights(None, None, dataclasses.replace(store, index=""))
    report = inspect_machine()
    if json:
        console.record(machine_json(report, store, weights))
        return
    for line in machine_lines(report, store, weights):
        console.result(line)


def print_speed(console: Console, *, as_json: bool) -> None:
    """Measure this machine and print its speed in one line, or as JSON."""
    from esrt_core.machine import measure_machine, package_versions

    report, version = measure_machine(), package_versions()["esrt-upscaler"]
    if as_json:
        console.record(json.dumps({"version": version, **dataclasses.asdict(report)}))
    else:
        console.result(speed_line(report, version))


def speed_line(report: SpeedReport, version: str) -> str:
    """Return the speed of a machine as one line that can be pasted into an issue."""
    speeds = ", ".join(f"x{scale} {figure(value)}" for scale, value in report.megapixels_per_second.items())
    slowed = f"; slowed by: {', '.join(report.slowed)}" if report.slowed else ""
    return (
        f"esrt {version}, {report.system}: {speeds} megapixels of results per second on {report.device} in "
        f"{report.precision}; {report.model}; {counted(report.threads, 'threads')} on {counted(report.cores, 'cores')}"
        f"{slowed}"
    )


def machine_lines(report: MachineReport, store: StoreOptions, weights: Sequence[Verification]) -> list[str]:
    """Return the report as lines of text."""
    lines = ["Versions"]
    lines += [f"  {name}: {version}" for name, version in report.versions.items()]
    lines += ["Machine", f"  system: {report.system}"]
    cores = f"{report.cores} core{'s' * (report.cores != 1)}"
    threads = f"{report.threads} thread{'s' * (report.threads != 1)}"
    lines += [f"  CPU: {cores}, {threads} used, {_gigabytes(report.memory)} of memory"]
    if report.driver:
        cuda = f", CUDA up to {report.driver.cuda}" if report.driver.cuda else ""
        lines.append(f"  NVIDIA driver: {report.driver.version}{cuda}")
    lines.append("Devices")
    lines += [f"  {_device(device, device.name.startswith(report.default_device))}" for device in report.devices]
    lines += [f"  {report.advice}"] if report.advice else []
    lines += ["Weights", *(f"  {_weights(checked)}" for checked in weights)]
    lines += ["Folders", f"  cache: {store.cache}", f"  data: {store.data}", f"  configuration: {config_path()}"]
    lines += [f"  index: {store.index}"] if store.index else []
    lines += ["  offline: nothing is downloaded (ESRT_OFFLINE)"] if store.offline else []
    return lines


def machine_json(report: MachineReport, store: StoreOptions, weights: Sequence[Verification]) -> str:
    """Return the report as one JSON object."""
    folders = {
        "cache": str(store.cache),
        "data": str(store.data),
        "configuration": str(config_path()),
        "index": store.index,
        "offline": store.offline,
    }
    return json.dumps(
        {**dataclasses.asdict(report), "weights": [verification_json(checked) for checked in weights], **folders},
        indent=2,
    )


def _device(device: DeviceReport, default: bool) -> str:
    memory = f", {_gigabytes(device.memory)}" if device.memory else ""
    free = f" ({_gigabytes(device.free_memory)} free)" if device.free_memory else ""
    state = f"CANNOT BE USED: {device.problem}" if device.problem else "works"
    mark = ", default" if default else ""
    return f"{device.name}: {device.model}{memory}{free}; {state}{mark}; {device.precision}: {device.reason}"


def _weights(checked: Verification) -> str:
    row = checked.entry.row
    return f"{row.title} ({checked.entry.origin}): {checked.problem or f'ok, sha256 {row.sha256}'}"


def _gigabytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count else "an unknown amount"
