"""A finished run's weights under a name, so that `--model NAME` finds them."""

from pathlib import Path

from esrt_core.errors import OptionError
from esrt_core.weights.catalog import KEPT_NAMES, check_name
from esrt_core.weights.importing import import_weights
from esrt_core.weights.records import imported_rows
from esrt_core.weights.settings import store_options


def check_name_free(name: str, scale: int) -> None:
    """Refuse a name that the weights could not get at the end. Raises WeightsError or OptionError."""
    check_name(name)
    if name in KEPT_NAMES:
        raise OptionError(f"The name '{name}' is kept for bundled weights; choose another --name.")
    if any((row.name, row.scale) == (name, scale) for row in imported_rows(store_options())):
        raise OptionError(
            f"There are weights called '{name}' for x{scale} already; remove them or choose another --name."
        )


def register(best: Path, name: str, overwrite: bool) -> None:
    """Copy weights into the user's collection."""
    import_weights(best, name, overwrite, store_options())
