"""Samples of a run: LR, before, after and truth of held-out pictures in labelled strips."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from esrt_core.files import atomic_write
from esrt_core.media.sheet import Row, draw_sheet
from esrt_core.model.esrt import ESRT
from esrt_core.training.bank import Pixels
from esrt_core.training.validation import Crop, enlarge

COUNT = 4
SIDE = 48  # LR px


def draw_samples(crops: Sequence[Crop], before: ESRT, after: ESRT, folder: Path) -> None:
    """Write one PNG for each of the first pictures."""
    folder.mkdir(exist_ok=True)
    networks = [copy.deepcopy(network).to("cpu").eval() for network in (before, after)]
    for number, crop in enumerate(crops[:COUNT], start=1):
        lr, hr = _part(crop)
        scale = hr.shape[0] // lr.shape[0]
        enlarged = [enlarge(network, lr, torch.device("cpu")) for network in networks]
        shown = lr.repeat(scale, axis=0).repeat(scale, axis=1)
        row = Row(crop.name, (shown, *enlarged, hr))
        sheet = draw_sheet(f"x{scale}", ("LR", "before", "after", "truth"), [row])
        with atomic_write(folder / f"{number}.png", overwrite=True) as temporary:
            Image.fromarray(sheet.planes[0]).save(temporary, format="PNG")


def _part(crop: Crop) -> tuple[Pixels, Pixels]:
    scale = crop.hr.shape[0] // crop.lr.shape[0]
    side = min(SIDE, *crop.lr.shape[:2])
    return crop.lr[:side, :side].copy(), crop.hr[: side * scale, : side * scale].copy()
