"""Names of results from a template such as '{stem}_{model}_x{scale}.{ext}', for pictures and clips alike."""

import re
from collections.abc import Mapping
from string import Formatter

from esrt_core.errors import OptionError
from esrt_core.pipeline.sizes import SizeRequest

FIELDS = ("stem", "model", "scale", "size", "ext")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')


def check_template(template: str, size: SizeRequest) -> None:
    """Raise OptionError unless a --name is a template of a file name that suits the requested size."""
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise OptionError(f"--name {template}: {error}; use {known}") from error
    for _, name, specification, conversion in parts:
        if name is not None and (name not in FIELDS or specification or conversion):
            raise OptionError(f"--name {template}: unknown field {{{name}}}; use {known}")
    if any(separator in template for separator in "/\\"):
        raise OptionError(f"--name {template} contains a slash; --name is for the file name, -o for the folder")
    if not any(name == "stem" for _, name, _, _ in parts):
        raise OptionError(f"--name {template} gives every result the same name; include {{stem}}")
    if size.is_in_pixels and any(name == "scale" for _, name, _, _ in parts):
        raise OptionError(f"--name {template}: a size in px has no single {{scale}}; use {{size}}")


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a checked template filled in: a plain file name, or "" if nothing is left of it.

    What no file system takes is replaced, and no name begins or ends with a dot or a space.
    """
    text = template.format_map({name: _FORBIDDEN.sub("_", values[name]) for name in FIELDS})
    return _FORBIDDEN.sub("_", text).lstrip(". ").rstrip(". ")
