"""The network in a form that can leave Python: one image in, one out, no branch on its size."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from esrt_core.engine.geometry import window_count
from esrt_core.engine.plan import tiling_for
from esrt_core.model.esrt import ESRT
from esrt_core.model.transformer import EMHA, WHOLE, Windows, attention

INPUT, OUTPUT = "image", "enlarged"
MIN_SIDE = 4  # px; below it the last piece of the sequence may be empty, which a program without branches cannot skip

SMALL_TILE = 128  # px; two larger ones at once would take more memory to check than one needs to be used


class DynamicEMHA(nn.Module):
    """EMHA over the whole input with the length of the sequence as a variable.

    The network's own form asks whether the four pieces are equal; a program that takes every size always has four
    slices, the last one open-ended.
    """

    def __init__(self, emha: EMHA) -> None:
        super().__init__()
        self.emha = emha

    def forward(self, tokens: Tensor, size: tuple[int, int], windows: Windows = WHOLE) -> Tensor:
        """Attend as EMHA does: (B, N, dim) in and out; `size` and `windows` are there for EMHA's place alone."""
        qkv: Tensor = self.emha.qkv(self.emha.reduce(tokens))  # (B, N, 3 * heads * d)
        n = (qkv.shape[1] + 3) // 4
        pieces = (qkv[:, :n], qkv[:, n : 2 * n], qkv[:, 2 * n : 3 * n], qkv[:, 3 * n :])
        attended = [attention(piece, self.emha.heads, self.emha.scale) for piece in pieces]
        expanded: Tensor = self.emha.expand(torch.cat(attended, 1))
        return expanded


class Program(nn.Module):
    """The network with its windows fixed: `image` (B, 3, H, W) in, (B, 3, scale * H, scale * W) out."""

    def __init__(self, network: ESRT, windows: Windows) -> None:
        super().__init__()
        self.network = network
        self.windows = windows

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge images."""
        enlarged: Tensor = self.network(image, self.windows)
        return enlarged


@dataclass(frozen=True)
class Form:
    """Hold what is exported and what it has to equal.

    network  the reference; `windows` are those of its attention.
    program  the same numbers in exportable form.
    tile     side of the only input in px, or None: any height and width from MIN_SIDE.
    """

    network: ESRT
    windows: Windows
    program: Program
    tile: int | None

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(B, H, W) at which the result is checked: every rest of H * W by 4, odd and even sides, the smallest."""
        if self.tile is not None:
            single = (1, self.tile, self.tile)
            return (single, (2, self.tile, self.tile)) if self.tile <= SMALL_TILE else (single,)
        return (1, MIN_SIDE, MIN_SIDE), (1, 5, 7), (2, 6, 7), (1, 9, 13), (1, 8, 10), (1, 31, 45)


def whole_form(network: ESRT) -> Form:
    """Return the paper's form: attention over the whole image, height and width free."""
    free = copy.deepcopy(network).eval()
    free.ltb.et.emha = DynamicEMHA(free.ltb.et.emha)  # type: ignore[assignment]
    return Form(network, WHOLE, Program(free, WHOLE), None)


def tile_form(network: ESRT, tile: int) -> Form:
    """Return the form for tiles of `tile` x `tile` px, with the attention windows that the engine has there."""
    count = window_count(tile, tiling_for("cpu").window)
    windows = (count, count)
    return Form(network, windows, Program(network, windows), tile)


def capture(form: Form) -> ExportedProgram:
    """Trace the program by torch.export; the batch is free, and height and width unless it is for tiles."""
    height, width = (form.tile, form.tile) if form.tile else (17, 19)
    free = {0: Dim("batch", min=1)}
    if form.tile is None:
        free |= {2: Dim("height", min=MIN_SIDE), 3: Dim("width", min=MIN_SIDE)}
    with torch.no_grad():
        return torch.export.export(form.program, (torch.rand(2, 3, height, width),), dynamic_shapes={INPUT: free})
