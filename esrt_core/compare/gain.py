"""The gain in dB on one picture, reduced by the model's scale, upscaled again and measured against the original.

The reduced version of a damaged picture looks undamaged. Measured like that, a model is rewarded for sharpening damage
and for reproducing it. So it gets the same damage again, which no model can know from the original. Its detail is
still finer than the picture's, and its truth a damaged one: between the clean and the photo weights, what `auto`
expects counts, too, and the more, the fewer pixels there are to measure on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from esrt_core.compare.reproduce import Damage
from esrt_core.evaluation.protocol import Rgb, bicubic, crop_to_multiple, make_lr, psnr_y
from esrt_core.media.frame import Frame

EVEN_SIDE = 70.0  # px of the reduced version where measure and expectation tell as much (benchmarks/agreement.md)


@dataclass(frozen=True)
class Score:
    """Hold a candidate's PSNR on Y in dB as measured, and its gain over bicubic, by which it ranks.

    Both are None if the picture is too small to measure or is restored without any error.
    """

    label: str
    psnr: float | None
    gain: float | None


class Reduction:
    """Hold a picture and its version reduced by `scale` with the field's protocol, and damaged if `damage` is given."""

    def __init__(self, picture: Rgb, scale: int, damage: Damage | None = None) -> None:
        self.scale = scale
        self.is_damaged = damage is not None
        self._hr = crop_to_multiple(picture, scale)
        self.measurable = min(self._hr.shape[:2]) > 2 * scale  # the border is cropped
        reduced = make_lr(self._hr, scale) if self.measurable else None
        self._lr = reduced if reduced is None or damage is None else damage(reduced)
        self._baseline = None if self._lr is None else self._psnr(bicubic(self._lr, scale))

    @property
    def trust(self) -> float:
        """Return the share that what is measured has beside what is expected, 0 to 1."""
        return 0.0 if self._lr is None else trust_of(math.sqrt(self._lr.shape[0] * self._lr.shape[1]))

    def score_bicubic(self) -> Score:
        """Measure bicubic."""
        return Score("bicubic", self._baseline, None if self._baseline is None else 0.0)

    def score(self, label: str, enlarge: Callable[[Frame], Frame]) -> Score:
        """Measure a function that upscales an 8-bit RGB frame by the scale."""
        psnr = None if self._lr is None else self._psnr(enlarge(Frame((self._lr,))).planes[0])
        gain = None if psnr is None or self._baseline is None else psnr - self._baseline
        return Score(label, psnr, gain)

    def _psnr(self, result: Rgb) -> float | None:
        value = psnr_y(result, self._hr, self.scale)
        return value if math.isfinite(value) else None


def trust_of(side: float) -> float:
    """Return the share of a measure on a reduced version of `side` x `side` px beside what is expected, 0 to 1."""
    return side / (side + EVEN_SIDE)


def with_expectation(scores: Sequence[Score], expected: Sequence[float | None], trust: float) -> list[Score]:
    """Return scores whose gains differ in part as expected, with the same mean; PSNR stays as measured.

    expected  the gain over the clean weights in dB of each score, None for those of which nothing is expected.
    trust     the share of what was measured, 0 to 1.
    """
    known = [(score.gain, gain) for score, gain in zip(scores, expected, strict=True) if None not in (score.gain, gain)]
    if len(known) < 2:
        return list(scores)
    measured, predicted = (sum(values) / len(known) for values in zip(*known, strict=True))
    found = []
    for score, gain in zip(scores, expected, strict=True):
        if score.gain is None or gain is None:
            found.append(score)
            continue
        difference = trust * (score.gain - measured) + (1 - trust) * (gain - predicted)
        found.append(Score(score.label, score.psnr, measured + difference))
    return found
