"""`esrt config`: show and set the user's defaults."""

from __future__ import annotations

import json as jsonlib
import os
from typing import Annotated

import typer

from esrt_cli.config import SETTINGS, config_path, parse_value, read_config, setting, variable, write_setting
from esrt_cli.console import Console

config = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Show and set your own defaults.")

KeyArg = Annotated[str, typer.Argument(metavar="KEY", help=", ".join(SETTINGS))]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@config.command()
def path() -> None:
    """Print the path of the configuration file, whether or not it exists.

    \b
    Example:
      esrt config path
    """
    Console().result(str(config_path()))


@config.command()
def show(json: JsonOpt = False) -> None:
    """Show every setting, its value, and the origin of that value.

    The command line overrides the environment, and the environment overrides the file.

    \b
    Examples:
      esrt config show
      esrt config show --json
    """
    settings = _effective()
    console = Console()
    if json:
        console.record(jsonlib.dumps(settings, indent=2))
        return
    for key, found in settings.items():
        value = "" if found["value"] is None else f" = {jsonlib.dumps(found['value'], ensure_ascii=False)}"
        console.result(f"{key}{value}  ({found['from']}; {SETTINGS[key].help})")


@config.command("set")
def set_(
    key: KeyArg,
    value: Annotated[str | None, typer.Argument(metavar="[VALUE]", help="Without it, the setting is removed.")] = None,
) -> None:
    """Set a default in the configuration file.

    \b
    Examples:
      esrt config set device cpu
      esrt config set index https://example.com/weights/index.json
      esrt config set device
    """
    setting(key)
    write_setting(config_path(), key, None if value is None else parse_value(key, value))


def _effective() -> dict[str, dict[str, object]]:
    """Return the value and the origin of every setting."""
    in_file = read_config(config_path())
    found: dict[str, dict[str, object]] = {}
    for key in SETTINGS:
        name = variable(key)
        if name in os.environ:
            found[key] = {"value": os.environ[name], "from": f"environment, {name}"}
        elif key in in_file:
            found[key] = {"value": in_file[key], "from": "file"}
        else:
            found[key] = {"value": None, "from": "default"}
    return found
