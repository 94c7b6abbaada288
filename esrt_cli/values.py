"""Values of options that are what they should be as they come, or nearly: they do not wait for pydantic.

typer converts every value, defaults too, with an adapter that pydantic makes for the option's type. Importing pydantic
and making the adapters takes a sixth of the time of a small picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperOption

if TYPE_CHECKING:
    from typer._click import Context
    from typer._coercion import RuntimeParam

Parameter = TyperArgument | TyperOption

MOST_DIGITS = 18


def take_simple_values(parameter: Parameter) -> None:
    """Let a parameter take defaults, texts, whole numbers and what its parser takes; typer converts all other values.

    Whatever could be wrong goes through typer, whose messages stay the only ones.
    """
    simple = _Simple(parameter.get_runtime_param)
    parameter.get_runtime_param = lambda: simple  # type: ignore[method-assign, assignment, return-value]


@dataclass(frozen=True)
class _Simple:
    """Stand for what converts the values of a parameter, which is made when it is needed."""

    by_typer: Callable[[], RuntimeParam]

    def coerce(self, value: Any, param: Parameter, ctx: Context) -> Any:
        """Convert a value."""
        try:
            return _converted(value, param, ctx)
        except ValueError:
            return self.by_typer().coerce(value, param=param, ctx=ctx)


def _converted(value: Any, parameter: Parameter, ctx: Context) -> Any:
    """Convert a simple value.

    Raises: ValueError if it is not simple.
    """
    wanted, parse = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info.parser
    if parameter.multiple or parameter.nargs != 1:
        if value is None:
            return ()
        if wanted != list[str] or not value or not all(isinstance(each, str) for each in value):
            raise ValueError
        return list(value)
    source = ctx.get_parameter_source(parameter.name)
    if value is None or (source is not None and source.name == "DEFAULT"):
        return value
    if isinstance(value, str) and parse is not None:
        return parse(value)
    if isinstance(value, str) and wanted is str:
        return value
    if wanted is int and not parameter.type_descriptor.is_ranged and _is_whole_number(value):
        return int(value)
    raise ValueError


def _is_whole_number(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS
