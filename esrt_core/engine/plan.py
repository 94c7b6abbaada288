"""Plan the tiles of a picture and estimate their memory and time, without torch."""

import math
from dataclasses import dataclass, replace

from esrt_core.architecture import PASS_COST
from esrt_core.engine.geometry import WINDOW, Axis, largest_side, split_axis, windows_of
from esrt_core.errors import OptionError

MIN_TILE_SIDE = 8  # px
WHOLE_LIMIT = 500_000  # px; the largest input for tile 0: about 6 GB, and half an hour on one slow core
MIN_BATCH_PIXELS = 18_432  # in a batch; fewer save hardly any memory
TILE_LADDER = (512, 384, 256, 192, 128, 96, 64, 48)  # px; smaller tiles to try when memory runs out


@dataclass(frozen=True)
class Tiling:
    """Hold the tiling constants of one kind of device, in px; benchmarks/geometry.md has the reasons.

    tile           side of a tile; `halo` is the least margin around what it contributes.
    window         side of the attention windows; `single_window` is that of a picture with one tile.
    feather        width of the blended seams.
    batch_pixels   px that go through the network at once.
    min_side       side to which smaller pictures are padded by repeating their edges.
    """

    tile: int
    halo: int
    window: int
    single_window: int
    feather: int
    batch_pixels: int
    min_side: int = MIN_TILE_SIDE

    def with_tile(self, tile: int) -> "Tiling":
        """Return the constants for another tile; smaller tiles have batches of fewer px, to need less memory."""
        share = min(1.0, (tile / self.tile) ** 2)
        return replace(self, tile=tile, batch_pixels=max(MIN_BATCH_PIXELS, int(self.batch_pixels * share)))


TILINGS = {
    "cpu": Tiling(tile=240, halo=6, window=WINDOW, single_window=60, feather=8, batch_pixels=MIN_BATCH_PIXELS),
    "gpu": Tiling(
        tile=720, halo=6, window=WINDOW, single_window=WINDOW, feather=8, batch_pixels=7 * 288 * 288, min_side=64
    ),
}


@dataclass(frozen=True)
class Plan:
    """Hold the tiles of one picture.

    width, height  size of the picture in px.
    tile           side of a tile in px as requested or chosen; 0 for the whole picture in the paper's form.
    rows, columns  tiling of the (padded) height and width; all tiles have one shape.
    windows        numbers (rows, columns) of attention windows in a tile.
    batch          tiles that go through the network at once.
    """

    width: int
    height: int
    scale: int
    tile: int
    rows: Axis
    columns: Axis
    windows: tuple[int, int]
    batch: int

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def tile_shape(self) -> tuple[int, int]:
        """(height, width) of every tile in px."""
        return self.rows.length, self.columns.length

    @property
    def computed_pixels(self) -> int:
        """Pixels that go through the network, with overlaps counted as often as they are computed."""
        return self.tiles * self.rows.length * self.columns.length


def make_plan(width: int, height: int, scale: int, device_kind: str = "cpu", tile: int | None = None) -> Plan:
    """Plan the tiles of a `width` x `height` picture; `tile` as in EngineOptions.

    Raises: OptionError if the whole picture (tile 0) is too large for the paper's form.
    """
    if tile == 0:
        return whole_plan(width, height, scale)
    tiling = tiling_for(device_kind)
    return tiled_plan(width, height, scale, tiling if tile is None else tiling.with_tile(tile))


def tiling_for(device_kind: str) -> Tiling:
    """Return the constants for "cpu", "cuda", "mps" or "xpu"."""
    return TILINGS["cpu" if device_kind == "cpu" else "gpu"]


def tiled_plan(width: int, height: int, scale: int, tiling: Tiling) -> Plan:
    """Plan tiles with the constants of a tiling."""
    side = largest_side(tiling.tile, tiling.window)
    rows = split_axis(max(height, tiling.min_side), side, tiling.halo, tiling.feather, tiling.window)
    columns = split_axis(max(width, tiling.min_side), side, tiling.halo, tiling.feather, tiling.window)
    tiles = len(rows.starts) * len(columns.starts)
    windows = windows_of(rows.length, columns.length, tiling.single_window if tiles == 1 else tiling.window)
    batch = max(1, tiling.batch_pixels // (rows.length * columns.length))
    if tiles > batch:  # equally full batches: on a GPU a smaller last one would be padded, which wastes work
        batch = math.ceil(tiles / math.ceil(tiles / batch))
    return Plan(width, height, scale, side, rows, columns, windows, batch)


def whole_plan(width: int, height: int, scale: int) -> Plan:
    """Plan one tile without windows, the paper's form.

    Raises: OptionError if the picture is larger than WHOLE_LIMIT.
    """
    if width * height > WHOLE_LIMIT:
        raise OptionError(
            f"tile 0 (the whole picture at once) is limited to {WHOLE_LIMIT / 1e6:g} megapixels, as its time grows "
            f"with the square of the pixels; {width} x {height} px is {width * height / 1e6:.1f}: omit --tile"
        )
    rows, columns = (split_axis(side, side, 0, 0) for side in (max(height, MIN_TILE_SIDE), max(width, MIN_TILE_SIDE)))
    return Plan(width, height, scale, 0, rows, columns, (1, 1), 1)


def smaller_tile(tile: int) -> int | None:
    """Return the next smaller tile of TILE_LADDER in px, or None at its end."""
    return next((rung for rung in TILE_LADDER if rung < tile), None)


def estimate_memory(plan: Plan, precision: str = "fp32") -> int:
    """Estimate the bytes that one batch takes on its device, from measured peaks."""
    pixels = min(plan.batch, plan.tiles) * plan.rows.length * plan.columns.length
    if plan.tile == 0:
        return pixels * 12_000
    return pixels * (4_000 if precision == "fp32" else 3_000)


def check_memory(plan: Plan, free: int | None) -> None:
    """Check that a whole picture (tile 0) fits into `free` bytes; None means unknown.

    Raises: OptionError if it does not.
    """
    need = estimate_memory(plan)
    if plan.tile == 0 and free is not None and need > free:
        raise OptionError(
            f"{plan.width} x {plan.height} px with tile 0 (the whole picture at once) needs about {need / 1e9:.1f} GB "
            f"of memory, but {free / 1e9:.1f} GB are free: omit --tile"
        )


def estimate_work(plan: Plan) -> float:
    """Estimate the multiply-adds of a plan: those of convolutions per px are constant, those of attention are not."""
    height, width = plan.tile_shape
    tokens = height * width / (plan.windows[0] * plan.windows[1] * 4)  # of one piece
    return plan.computed_pixels * (PASS_COST[plan.scale] + 288 * tokens)
