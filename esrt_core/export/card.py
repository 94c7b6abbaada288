"""What an exported program says about itself."""

from esrt_core.engine.plan import tiling_for
from esrt_core.export.form import MIN_SIDE, Form
from esrt_core.weights.metadata import CheckpointMetadata


def program_card(metadata: CheckpointMetadata, form: Form) -> dict[str, str]:
    """Return the entries that travel with a program: those of its weights, and what goes in and comes out."""
    scale = metadata.scale
    card = metadata.to_strings() | {
        "input": "float32, batch x 3 x height x width, RGB, 0 to 1",
        "output": f"float32, batch x 3 x {scale} height x {scale} width, RGB, 0 to 1 but not clamped",
        "windows": f"{form.windows[0]} x {form.windows[1]}",
    }
    if form.tile is None:
        return card | {"size": f"any height and width from {MIN_SIDE} px"}
    return card | {"size": f"{form.tile} x {form.tile} px", "halo": f"{tiling_for('cpu').halo} px"}
