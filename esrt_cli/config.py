"""The configuration file: the user's defaults, which the environment and the command line override."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esrt_cli.console import printable
from esrt_core.errors import OptionError

if TYPE_CHECKING:
    import typer

Value = str | int | bool
_KINDS: dict[type[Value], str] = {str: "a text", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True)
class Setting:
    """Describe a key of the file: the type of its value; `stored` if the weights store reads it."""

    kind: type[Value]
    help: str
    stored: bool = False


SETTINGS = {
    "model": Setting(str, "the default of --model"),
    "device": Setting(str, "auto, cpu, cuda, cuda:N or mps"),
    "threads": Setting(int, "CPU threads"),
    "tile": Setting(int, "tile side in px"),
    "precision": Setting(str, "auto, fp32, fp16 or bf16"),
    "quality": Setting(int, "1 to 100, for lossy formats"),
    "background": Setting(str, "a color, for formats without transparency"),
    "max-pixels": Setting(int, "largest picture to read or write"),
    "index": Setting(str, "address or path of an index with more weights", stored=True),
    "offline": Setting(bool, "never access the network", stored=True),
    "home": Setting(str, "folder for downloaded and imported weights", stored=True),
}


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the configuration file: ESRT_CONFIG, or in the system's configuration folder."""
    if environment.get("ESRT_CONFIG"):
        return Path(environment["ESRT_CONFIG"]).expanduser().absolute()
    import platformdirs

    return platformdirs.user_config_path("esrt", appauthor=False) / "config.toml"


def variable(key: str) -> str:
    """Return the environment variable that overrides a setting."""
    return f"ESRT_{key.upper().replace('-', '_')}"


def read_config(path: Path) -> dict[str, Value]:
    """Return the settings of a file, none if it does not exist.

    Raises: OptionError if it cannot be read or holds an unknown key or an invalid value.
    """
    from esrt_core.decoding import decode_value

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise OptionError(f"configuration {path} is not valid TOML: {error}") from error
    except OSError as error:
        raise OptionError(f"configuration {path} cannot be read: {error.strerror}") from error
    try:
        content = decode_value(tomllib.loads(text), dict[str, Any])
    except (ValueError, RecursionError) as error:  # DecodeError too, and integers of thousands of digits
        raise OptionError(f"configuration {path} is not valid TOML: {printable(str(error))}") from error
    check_config(content, str(path))
    return content


def check_config(content: Mapping[str, Any], name: str) -> None:
    """Raise OptionError, naming the file `name`, if a setting is unknown or a value is invalid."""
    from esrt_core.engine.options import EngineOptions

    for key, value in content.items():
        kind = setting(key, f"configuration {name}: ").kind
        if type(value) is not kind:  # bool is an int for isinstance
            raise OptionError(f"configuration {name}: {key} is {_shown(value)}, expected {_KINDS[kind]}")
    try:
        EngineOptions(
            content.get("device", "auto"), content.get("threads"), content.get("precision", "auto"), content.get("tile")
        )
    except OptionError as error:
        raise OptionError(f"configuration {name}: {error}") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def setting(key: str, context: str = "") -> Setting:
    """Return the description of a key.

    Raises: OptionError, listing the valid keys, if it is unknown.
    """
    if key not in SETTINGS:
        raise OptionError(f"{context}unknown setting '{key}', expected one of {', '.join(SETTINGS)}")
    return SETTINGS[key]


def parse_value(key: str, text: str) -> Value:
    """Parse a value of a key.

    Raises: OptionError if the text is not valid for the key.
    """
    kind = setting(key).kind
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind is int and text.lstrip("-").isdecimal():
        return int(text)
    if kind is str and text:
        return text
    raise OptionError(f"{key} is {text!r}, expected {_KINDS[kind]}")


def write_setting(path: Path, key: str, value: Value | None) -> None:
    """Set one value in the file, or remove it with None; comments and everything else stay unchanged."""
    import tomlkit

    from esrt_core.files import atomic_write, make_folder

    changed: dict[str, Value] = read_config(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    for content in (changed, document):
        if value is None:
            content.pop(key, None)
        else:
            content[key] = value
    check_config(changed, str(path))
    make_folder(path.parent)
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(tomlkit.dumps(document), encoding="utf-8")


def apply_config(context: typer.Context) -> None:
    """Apply the file's settings as defaults of the commands' options and of the weights store."""
    config = read_config(config_path())
    for key, value in config.items():
        if SETTINGS[key].stored:
            os.environ.setdefault(variable(key), str(int(value)) if isinstance(value, bool) else str(value))
    options = {key.replace("-", "_"): value for key, value in config.items() if not SETTINGS[key].stored}
    commands = getattr(context.command, "commands", {})
    context.default_map = {
        name: {param.name: options[param.name] for param in command.params if param.name in options}
        for name, command in commands.items()
    }
