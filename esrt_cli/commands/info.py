"""`esrt info`: what the program finds on this machine."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from esrt_cli.console import Console

JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def info(json: JsonOpt = False) -> None:
    """Show versions, devices (each is tried), memory, weights, and why a GPU cannot be used.

    \b
    Examples:
      esrt info
      esrt info --json
    """
    from esrt_cli.machine import machine_json, machine_lines
    from esrt_core.errors import WeightsError
    from esrt_core.inspect.machine import inspect_machine
    from esrt_core.weights.fetching import verify_weights
    from esrt_core.weights.settings import store_options

    store = store_options()
    console = Console()
    try:
        weights = verify_weights(None, None, store)
    except WeightsError as error:  # an index that cannot be had must not hide the rest
        console.error(str(error))
        weights = verify_weights(None, None, dataclasses.replace(store, index=""))
    report = inspect_machine()
    if json:
        console.record(machine_json(report, store, weights))
        return
    for line in machine_lines(report, store, weights):
        console.result(line)
