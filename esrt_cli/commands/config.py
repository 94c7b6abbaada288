"""`esrt config`: show and set the user's defaults."""

from __future__ import annotations

import json as jsonlib
import os
from typing import Annotated

import typer

from esrt_cli import params
from esrt_cli.config import SETTINGS, Value, config_path, parse_value, read_config, setting, variable, write_setting
from esrt_cli.console import Console
from esrt_cli.help import Command, Group
from esrt_core.errors import EsrtError, OptionError

config = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Show and set your own defaults.

    \b
    Examples:
      esrt config show
      esrt config set device cpu
    """,
)

KeyArg = Annotated[str, typer.Argument(metavar="KEY", help=", ".join(SETTINGS))]


@config.command(cls=Command)
def path(json: params.JsonOpt = False) -> None:
    """Print the path of the configuration file, whether or not it exists.

    \b
    Example:
      esrt config path
    """
    if json:
        Console().record(jsonlib.dumps({"path": str(config_path()), "exists": config_path().is_file()}))
    else:
        Console().result(str(config_path()))


@config.command(cls=Command)
def show(json: params.JsonOpt = False) -> None:
    """Show the value in force of every setting, and where it comes from.

    What depends on this machine is computed: device, threads, tile and precision. The command line overrides the
    environment, and the environment overrides the file.

    \b
    Examples:
      esrt config show
      esrt config show --json
    """
    console = Console()
    console.start("looking at this machine ...")
    settings = in_force()
    if json:
        console.record(jsonlib.dumps(settings, indent=2))
        return
    for key, found in settings.items():
        value = "none" if found["value"] is None else jsonlib.dumps(found["value"], ensure_ascii=False)
        console.result(f"{key} = {value}  ({found['from']}; {SETTINGS[key].help})")


@config.command("set", cls=Command)
def set_(
    key: KeyArg,
    value: Annotated[str | None, typer.Argument(metavar="VALUE", help="Without it, the setting is removed.")] = None,
    json: params.JsonOpt = False,
) -> None:
    """Set a default in the configuration file.

    \b
    Examples:
      esrt config set device cpu
      esrt config set index https://example.com/weights/index.json
      esrt config set device
    """
    setting(key)
    parsed = None if value is None else parse_value(key, value)
    write_setting(config_path(), key, parsed)
    if json:
        Console().record(jsonlib.dumps({"ok": True, "setting": key, "value": parsed, "path": str(config_path())}))


def in_force() -> dict[str, dict[str, object]]:
    """Return the value in force of every setting and its origin; defaults that depend on the machine are computed."""
    in_file = read_config(config_path())
    found: dict[str, dict[str, object]] = {}
    for key in SETTINGS:
        name = variable(key)
        if name in os.environ:
            found[key] = {"value": _from_environment(key, os.environ[name]), "from": f"environment, {name}"}
        elif key in in_file:
            found[key] = {"value": in_file[key], "from": "file"}
    defaults = _defaults(found)
    for key in ("device", "precision"):
        if found.get(key, {}).get("value") == "auto":
            found[key] = {"value": defaults[key]["value"], "from": f"{found[key]['from']}: auto"}
    return defaults | found


def _from_environment(key: str, text: str) -> Value:
    try:
        return parse_value(key, text)
    except OptionError:
        return text  # such as ESRT_OFFLINE=1; a command that cannot use it says so


def _defaults(chosen: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Return the defaults of all settings, where `chosen` are those that the user made."""
    from esrt_core.engine.device import choose_device, choose_precision
    from esrt_core.engine.options import EngineOptions
    from esrt_core.engine.plan import tiling_for
    from esrt_core.engine.threads import cpu_threads
    from esrt_core.media.image.formats import FORMATS
    from esrt_core.media.image.picture import DEFAULT_MAX_PIXELS
    from esrt_core.weights.settings import store_options

    asked = str(chosen.get("device", {}).get("value", "auto"))
    try:
        device = choose_device(EngineOptions(asked).device)
        found = "" if asked == "auto" else f" for {device}"
    except EsrtError as error:  # said here, and an error in every command that needs the device
        device, found = choose_device("cpu"), f" for cpu, as {error}"
    qualities = {kind.default_quality for kind in FORMATS if kind.writable and kind.default_quality}
    computed = {
        "device": (str(device), "computed: the device of this machine"),
        "threads": (cpu_threads(), "computed: the cores of this machine"),
        "tile": (tiling_for(device.type).tile, f"computed{found or f' for {device}'}"),
        "precision": (choose_precision(EngineOptions(), device), f"computed{found or f' for {device}'}"),
        "quality": (None, f"default: by the format, {min(qualities)} to {max(qualities)}"),
        "home": (str(store_options().data.parent if "ESRT_HOME" in os.environ else store_options().data), "default"),
    }
    plain = {"model": "auto", "background": "white", "max-pixels": DEFAULT_MAX_PIXELS, "index": None, "offline": False}
    values = {**computed, **{key: (value, "default") for key, value in plain.items()}}
    return {key: {"value": values[key][0], "from": values[key][1]} for key in SETTINGS}
