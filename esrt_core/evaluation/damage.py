"""Estimate from the pixels of a picture what was lost before: to JPEG, to other compression, to noise; and its kind.

NumPy only. Large pictures are judged by a fixed set of windows, so that the cost is bounded. Traces of JPEG are found
as Fan and de Queiroz do ("Identification of bitmap compression history: JPEG detection and quantizer estimation",
2003): first the 8 x 8 grid, then the table whose steps the DCT coefficients are multiples of.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esrt_core.evaluation.dataset import rgb_of
from esrt_core.media.frame import Frame
from esrt_core.media.image.jpeg_quality import scaled_table

BLOCK = 8
WINDOW = 96  # px, a multiple of BLOCK
SMALLEST = 24  # px a side; smaller pictures are mirrored
WINDOWS = 3  # a side, of a picture with more px than they have together

QUALITIES = np.arange(10, 98)
_FREQUENCIES = tuple((u, v) for u in range(6) for v in range(6) if 0 < u + v < 7)  # which JPEG keeps longest
GOOD_QUALITY = 90  # from which on a JPEG is as good as undamaged, as a truth
_PER_LEVEL = 4  # histogram bins per gray level
_LOW, _LOW_BINS = 4, 40 * _PER_LEVEL  # frequencies a side that find a shifted grid, and bins of their histograms
_LEAST_COSINE, _LEAST_SCORE = 0.2, 7.0  # of a quality that is believed
_LEAST_NOISE, _WHITE = math.log(1.0), -0.35  # of noise: ln of gray levels, and of fine to coarse (0 if white)
_MARGIN = 2  # gray levels that lossy compression leaves of one color
_EPSILON = 0.05  # gray levels, added before a logarithm

Values = NDArray[Any]


@dataclass(frozen=True)
class Look:
    """Hold what the pixels of a picture tell.

    features  numbers in the order of FEATURES, for the rule that chooses weights.
    luma      what they were taken from, for the same rule: Y (windows, H, W), 0..255.
    quality   of the JPEG that it is or was, 10 to 97 on libjpeg's scale; None if no trace of one was found.
    noise     its standard deviation in the calmest places, gray levels.
    is_noisy  whether these places have noise: as much of what is fine as of what is coarse.
    """

    features: Values
    luma: Values
    quality: int | None
    noise: float
    is_noisy: bool


def look(frames: Sequence[Frame]) -> Look:
    """Look at one picture, or at several frames of a clip, which have one size."""
    rgb = windows_of(frames)
    luma = luma_of(rgb)
    found = _jpeg(luma)
    traces = {
        "blocks": _blockiness(luma),
        "cosine": found.cosine,
        "score": float(np.log1p(max(found.score, 0.0))),
        "quality": found.quality / 100 if found.convincing else 1.0,
    }
    chroma = rgb[..., 2] - luma, rgb[..., 0] - luma
    values = traces | _texture(luma) | _palette(luma, chroma) | _halved_color(luma, chroma)
    return Look(
        features=np.array([values[name] for name in FEATURES]),
        luma=luma,
        quality=found.quality if found.convincing else None,
        noise=float(np.exp(values["fine 10"])),
        is_noisy=values["fine 10"] > _LEAST_NOISE and values["sharp still"] > _WHITE,
    )


def visible_damage(seen: Look) -> str:
    """Say what damage makes a picture a poor truth to measure against or to learn from; "" if there is hardly any."""
    if seen.quality is not None and seen.quality < GOOD_QUALITY:
        return f"looks like a JPEG of quality {seen.quality}"
    return "noise" if seen.is_noisy else ""


def damage_warning(damaged: Mapping[str, str], pictures: int, consequence: str) -> str:
    """Return one line about the damaged pictures among some: their damage by name, and what follows from it."""
    name, what = next(iter(damaged.items()))
    many = f"{len(damaged)} of {pictures} pictures look" if pictures > 1 else "the picture looks"
    return f"{many} damaged ({name}: {what}): {consequence}"


def luma_of(rgb: Values) -> Values:
    """Return Y (...) in float32, 0..255, of R, G and B (..., 3)."""
    return rgb[..., 0] * np.float32(0.299) + rgb[..., 1] * np.float32(0.587) + rgb[..., 2] * np.float32(0.114)


def windows_of(frames: Sequence[Frame]) -> Values:
    """Return what is between the margins, or windows on a fixed lattice of that: (N, H, W, 3) float32, 0..255."""
    above, height = _between_margins(frames, 0)
    before, width = _between_margins(frames, 1)
    tops, lefts = _starts(height), _starts(width)
    high, wide = min(height, WINDOW if len(tops) > 1 else height), min(width, WINDOW if len(lefts) > 1 else width)
    places = [(above + top, before + left) for top in tops for left in lefts]
    windows = np.stack([_rgb(frame, top, left, high, wide) for frame in frames for top, left in places])
    missing = [(0, max(SMALLEST - length, 0)) for length in (high, wide)]
    return np.pad(windows, ((0, 0), *missing, (0, 0)), mode="symmetric") if any(map(any, missing)) else windows


def _between_margins(frames: Sequence[Frame], axis: int) -> tuple[int, int]:
    """Return where the margins of one color end along an axis, on a multiple of BLOCK, and the length between them.

    The bars of a film, the rows that a truncated file lacks and the margins of a page tell nothing of what the rest is.
    """
    ends = [_ends(frame.planes[0].swapaxes(0, axis), frame.peak) for frame in frames]
    start, end = min(start for start, _ in ends), max(end for _, end in ends)
    return start, end - start


def _ends(lines: Values, peak: float) -> tuple[int, int]:
    start, end = 0, len(lines)
    while end - start > BLOCK and _are_of(lines[start : start + BLOCK], lines[0, 0], peak):
        start += BLOCK
    while end - start > BLOCK and _are_of(lines[end - 1 : end], lines[-1, -1], peak):
        end -= 1
    return (start, end) if end - start > BLOCK else (0, len(lines))


def _are_of(lines: Values, color: Values, peak: float) -> bool:
    least, most = lines.min((0, 1)).astype(np.float64), lines.max((0, 1)).astype(np.float64)
    return bool(np.all(np.maximum(most - color, color - least) <= peak * _MARGIN / 255))


def _starts(length: int) -> list[int]:
    """Return where windows begin along a side: on multiples of BLOCK, so that all share one grid."""
    if length <= WINDOW * WINDOWS:
        return [0]
    room = length - WINDOW
    return [round(place * room / (WINDOWS - 1)) // BLOCK * BLOCK for place in range(WINDOWS)]


def _rgb(frame: Frame, top: int, left: int, height: int, width: int) -> Values:
    part = Frame(
        tuple(plane[top : top + height, left : left + width] for plane in frame.planes), frame.space, frame.depth
    )
    return rgb_of(part).astype(np.float32)


def _blockiness(luma: Values) -> float:
    """Return how much steps across borders of 8 x 8 blocks, wherever their grid begins, exceed those within."""
    strengths = []
    for axis in (1, 2):
        steps = np.minimum(np.abs(np.diff(luma, axis=axis)), 24)
        profile = steps.mean(axis=(0, 3 - axis))
        excess = profile[1:-1] - 0.5 * (profile[:-2] + profile[2:])
        folded = np.sort([excess[start::BLOCK].mean() for start in range(BLOCK)])
        median = folded[BLOCK // 2 - 1 : BLOCK // 2 + 1].mean()  # np.median would import numpy.ma
        strengths.append((folded[-1] - median) / (profile.mean() + 0.3))
    return float(np.mean(strengths))


@dataclass(frozen=True)
class _Fit:
    """Hold how well the DCT fits the table of a JPEG quality: the mean cosine, and the sum of cosines in sigmas."""

    quality: int
    cosine: float
    score: float

    @property
    def convincing(self) -> bool:
        return self.cosine > _LEAST_COSINE and self.score > _LEAST_SCORE


def _jpeg(luma: Values) -> _Fit:
    """Find the JPEG quality whose table fits best, on the grid of the picture itself or on a shifted one."""
    plain = _fit(_blocks(luma, 0, 0))
    if plain.convincing:
        return plain
    moved = _fit(_blocks(luma, *_best_grid(luma)))
    return max(plain, moved, key=lambda found: found.score)


def _best_grid(luma: Values) -> tuple[int, int]:
    """Return the grid, of the 64 possible ones, on which the lowest frequencies of a central part fit a table best."""
    part = luma[len(luma) // 2]
    top, left = (max(length - WINDOW, 0) // 2 // BLOCK * BLOCK for length in part.shape)
    part = part[top : top + WINDOW, left : left + WINDOW]
    height = len(part) - BLOCK + 1
    down = np.stack([part[k : k + height] for k in range(BLOCK)]).reshape(BLOCK, -1)
    rows = (_dct()[:_LOW] @ down).reshape(_LOW, height, -1)  # (v, H - 7, W)
    histograms = np.concatenate([_histograms_by_column(rows[:, top::BLOCK]) for top in range(BLOCK)])
    total, count = np.split(histograms @ _grid_weights(), 2, axis=1)  # (grid, quality)
    return divmod(int((total / np.sqrt(0.5 * count + 1)).max(1).argmax()), BLOCK)


def _histograms_by_column(rows: Values) -> Values:
    """Return histograms (left, frequency x bin) of the blocks that begin at columns `left`, `left` + 8 and so on.

    `rows` (v, N, W) are transformed along the columns: every eighth row, for arrays of all rows are slow to allocate.
    """
    width = rows.shape[2] - BLOCK + 1
    across = np.stack([rows[..., k : k + width] for k in range(BLOCK)]).reshape(BLOCK, -1)
    size = (_dct()[:_LOW] * _PER_LEVEL @ across).reshape(_LOW * _LOW, -1, width)  # (u v, N, W - 7)
    size = np.minimum(np.rint(np.abs(size, out=size), out=size), _LOW_BINS, out=size)
    shape = (BLOCK, _LOW * _LOW, _LOW_BINS + 1)
    first = (np.arange(width) % BLOCK * shape[1] + np.arange(shape[1])[:, None, None]) * shape[2]
    index = size.astype(np.int32) + first.astype(np.int32)
    return np.bincount(index.ravel(), minlength=math.prod(shape)).reshape(BLOCK, -1).astype(np.float32)


@dataclass(frozen=True)
class _Tables:
    """Hold what histograms are compared with.

    cosines  (bin, step) of the phase of a coefficient between multiples of a step; 0 below half a step, because what
             was rounded to 0 fits every larger step.
    least    (step,) the first bin above half a step.
    steps    (quality, frequency) indices of steps.
    """

    qualities: Values
    cosines: Values
    least: Values
    steps: Values

    @property
    def bins(self) -> int:
        return len(self.cosines)


def _make_tables(frequencies: Sequence[tuple[int, int]], qualities: Values, bins: int) -> _Tables:
    tables = np.array([scaled_table(int(quality)) for quality in qualities])  # (quality, v, u)
    values, places = np.unique([tables[:, v, u] for u, v in frequencies], return_inverse=True)
    sizes = np.arange(bins)[:, None] / _PER_LEVEL
    cosines = np.where(sizes > values / 2, np.cos(2 * np.pi * sizes / values), 0)
    least = np.minimum(values * _PER_LEVEL // 2 + 1, len(sizes))
    return _Tables(qualities, cosines.astype(np.float32), least, places.reshape(len(frequencies), -1).T)


@lru_cache(maxsize=1)
def _grid_weights() -> Values:
    """Return what turns histograms into sums of cosines and into counts: (frequency x bin, 2 x quality).

    The constant coefficient and the last bin, of all that is larger, count for nothing.
    """
    tables = _make_tables([divmod(place, _LOW) for place in range(1, _LOW * _LOW)], QUALITIES[::2], _LOW_BINS)
    weights = np.zeros((_LOW * _LOW, tables.bins + 1, 2, len(tables.qualities)), np.float32)
    counted = np.arange(tables.bins)[:, None] >= tables.least
    for part, values in enumerate((tables.cosines, counted)):
        weights[1:, :-1, part] = values[:, tables.steps].transpose(2, 0, 1)
    return weights.reshape(-1, 2 * len(tables.qualities))


def _fit(blocks: Values) -> _Fit:
    """Find the quality whose table fits best, and believe it only if blocks that differ say so, too.

    In a gradient or a tiled picture all blocks are alike: that they fit some table is one coincidence, not hundreds.
    """
    found = _best_fit(_histograms(blocks))
    if not found.convincing:
        return found
    distinct = _best_fit(_histograms(_distinct(blocks, found.quality)))
    return found if distinct.convincing else distinct


def _distinct(blocks: Values, quality: int) -> Values:
    """Return one block of all that a JPEG of this quality would store alike, but for signs."""
    table = np.array(scaled_table(quality), np.float32)
    stored = np.rint(np.abs(blocks) / table).astype(np.int16)
    rows = np.stack([stored[:, v, u] for u, v in _FREQUENCIES], axis=1)
    whole = rows.view(f"V{rows.itemsize * rows.shape[1]}")[:, 0]  # np.unique by axis takes four times as long
    return blocks[np.unique(whole, return_index=True)[1]]


def _best_fit(histograms: Values) -> _Fit:
    """Fit the table of every quality to histograms (frequency, bin) and return the best."""
    tables, places = _TABLES, np.arange(len(histograms))
    larger = np.zeros((len(histograms), tables.bins + 1), np.float32)
    larger[:, :-1] = histograms[:, ::-1].cumsum(1)[:, ::-1]
    total = (histograms @ tables.cosines)[places, tables.steps].sum(1)  # (quality,)
    count = larger[:, tables.least][places, tables.steps].sum(1)
    scores = total / np.sqrt(0.5 * count + 1)
    best = scores.argmax()
    return _Fit(int(tables.qualities[best]), float(total[best] / (count[best] + 1)), float(scores[best]))


def _blocks(luma: Values, top: int, left: int) -> Values:
    """Return the orthonormal DCT-II of whole blocks, (N, 8, 8)."""
    height, width = ((length - start) // BLOCK for length, start in zip(luma.shape[1:], (top, left), strict=True))
    cut = luma[:, top : top + height * BLOCK, left : left + width * BLOCK]
    blocks = cut.reshape(-1, height, BLOCK, width, BLOCK).transpose(0, 1, 3, 2, 4).reshape(-1, BLOCK, BLOCK)
    matrix = _dct()
    coefficients: Values = matrix @ blocks @ matrix.T
    return coefficients


@lru_cache(maxsize=1)
def _dct() -> Values:
    place = np.arange(BLOCK)
    matrix = np.cos(np.pi / BLOCK * (place + 0.5) * place[:, None]) * (2 / BLOCK) ** 0.5
    matrix[0] *= 0.5**0.5
    return np.asarray(matrix, np.float32)


def _histograms(blocks: Values) -> Values:
    """Return histograms of the magnitudes of low-frequency coefficients, (frequency, bin)."""
    found = np.empty((len(_FREQUENCIES), _TABLES.bins), np.float32)
    for place, (u, v) in enumerate(_FREQUENCIES):
        size = np.rint(np.abs(blocks[:, v, u]) * _PER_LEVEL).astype(np.intp)
        found[place] = np.bincount(size[size < _TABLES.bins], minlength=_TABLES.bins)
    return found


def _texture(luma: Values) -> dict[str, float]:
    """Return quantiles over blocks of what is fine (both second differences) and what is coarse, and spectra."""
    second = luma[:, :-2] - 2 * luma[:, 1:-1] + luma[:, 2:]
    fine = (second[..., :-2] - 2 * second[..., 1:-1] + second[..., 2:]) / 6
    slope = luma[:, 1:-1, 2:] - luma[:, 1:-1, :-2], luma[:, 2:, 1:-1] - luma[:, :-2, 1:-1]
    energies = _mean_of_blocks(fine * fine), _mean_of_blocks(slope[0] ** 2 + slope[1] ** 2) / 4
    found: dict[str, float] = {}
    for name, energy in zip(("fine", "slope"), energies, strict=True):
        levels = _quantiles(energy, [q / 100 for q in QUANTILES])
        found |= {f"{name} {q}": 0.5 * np.log(level + _EPSILON**2) for q, level in zip(QUANTILES, levels, strict=True)}
    busy, still = (energies[1] > level for level in _quantiles(energies[1], [0.75, 0.15]))
    for name, chosen in (("busy", busy), ("calm", ~busy), ("still", ~still)):
        means = [energy[chosen].mean() if chosen.any() else 0.0 for energy in energies]
        found[f"sharp {name}"] = 0.5 * np.log((means[0] + _EPSILON**2) / (means[1] + _EPSILON**2))
    return found | _spectrum(_blocks(luma, 0, 0))


def _quantiles(values: Values, shares: Sequence[float]) -> Values:
    """Return what np.quantile does, which would import numpy.ma."""
    found: Values = np.interp(np.multiply(shares, len(values) - 1), np.arange(len(values)), np.sort(values))
    return found


def _mean_of_blocks(plane: Values) -> Values:
    height, width = plane.shape[1] // BLOCK, plane.shape[2] // BLOCK
    cut = plane[:, : height * BLOCK, : width * BLOCK]
    means: Values = cut.reshape(-1, height, BLOCK, width, BLOCK).mean(axis=(2, 4)).ravel()
    return means


def _spectrum(blocks: Values) -> dict[str, float]:
    """Return the mean energy of diagonal bands of the DCT."""
    energy = (blocks * blocks).mean(axis=0)
    order = np.add.outer(np.arange(BLOCK), np.arange(BLOCK))
    return {
        f"band {low}": 0.5 * np.log(energy[(order >= low) & (order < high)].mean() + _EPSILON**2) for low, high in BANDS
    }


def _palette(luma: Values, chroma: tuple[Values, Values]) -> dict[str, float]:
    """Return what tells drawings from photos: flat blocks, equal neighbors, few levels, hard edges; and colors."""
    steps = np.abs(np.diff(luma, axis=2))
    height, width = luma.shape[1] // BLOCK, luma.shape[2] // BLOCK
    blocks = luma[:, : height * BLOCK, : width * BLOCK].reshape(-1, height, BLOCK, width, BLOCK)
    spans = blocks.max(axis=(2, 4)) - blocks.min(axis=(2, 4))
    levels = np.sort(np.bincount(luma.astype(np.uint8).ravel(), minlength=256))[::-1] / luma.size
    moving = steps > 4
    color = np.concatenate([np.abs(np.diff(each, axis=2)).ravel() for each in chroma])
    return {
        "flat": float((spans < 1.5).mean()),
        "plain": float((spans < 6).mean()),
        "equal": float((steps < 0.5).mean()),
        "levels 1": float(levels[:2].sum()),
        "levels 8": float(levels[:16].sum()),
        "hard": float((steps > 48).sum() / (moving.sum() + 10)),
        "moving": float(moving.mean()),
        "color": float(np.log(color.mean() + _EPSILON)),
        "colored": float(np.log(np.std(chroma[0]) + np.std(chroma[1]) + 1)),
    }


def _halved_color(luma: Values, chroma: tuple[Values, Values]) -> dict[str, float]:
    """Return what tells whether color of half the resolution (4:2:0) matters, or was halved already.

    Where it leaves the range of a channel it is cut off, and the luma changes. `chroma` is B and R less the luma.
    """
    height, width = (length // 2 * 2 for length in luma.shape[1:])
    quarters = [np.s_[:, top:height:2, left:width:2] for top in range(2) for left in range(2)]
    fine, means = [], []
    for plane in chroma:
        parts = [plane[quarter] for quarter in quarters]
        steps = parts[0] - parts[1]
        means.append((parts[0] + parts[1] + parts[2] + parts[3]) / 4)
        fine.append((steps * steps).mean())
    blue, red = means
    green = (0.299 * red + 0.114 * blue) / -0.587
    changed = 0.0
    for quarter in quarters:
        level = luma[quarter]
        change = -level  # the three channels are `level` with weights of sum 1
        for mean, share in ((red, 0.299), (green, 0.587), (blue, 0.114)):
            change += np.float32(share) * np.clip(level + mean, 0, 255)
        changed += float((change * change).mean()) / len(quarters)
    return {
        "fine color": float(0.5 * np.log(max(fine) + _EPSILON**2)),
        "halved": float(0.5 * np.log(changed + _EPSILON**2)),
    }


_TABLES = _make_tables(_FREQUENCIES, QUALITIES, 100 * _PER_LEVEL)
QUANTILES = (5, 10, 25, 50, 75, 90)
BANDS = ((1, 3), (3, 5), (5, 7), (7, 9), (9, 12), (12, 15))
FEATURES = (
    "blocks", "cosine", "score", "quality",
    *(f"{name} {q}" for name in ("fine", "slope") for q in QUANTILES),
    "sharp busy", "sharp calm", "sharp still",
    *(f"band {low}" for low, _ in BANDS),
    "flat", "plain", "equal", "levels 1", "levels 8", "hard", "moving", "color", "colored",
    "fine color", "halved",
)  # fmt: skip
