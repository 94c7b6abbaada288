"""What is expected of weights counts beside what was measured."""

import numpy as np
import pytest

from esrt_core.compare.gain import EVEN_SIDE, Reduction, Score, trust_of, with_expectation

BICUBIC = Score("bicubic", 30.0, 0.0)


def test_differences_between_bundled_weights_are_in_part_those_expected() -> None:
    scores = [BICUBIC, Score("clean", 31.0, 1.0), Score("photo", 30.5, 0.5), Score("mine", 30.9, 0.9)]
    found = with_expectation(scores, [None, 0.0, 1.0, None], 0.4)
    assert (found[0], found[3]) == (scores[0], scores[3])
    clean, photo = found[1], found[2]
    assert photo.gain is not None
    assert clean.gain is not None
    assert photo.gain - clean.gain == pytest.approx(0.4 * -0.5 + 0.6 * 1.0)
    assert (photo.gain + clean.gain) / 2 == pytest.approx(0.75)
    assert (clean.psnr, photo.psnr) == (31.0, 30.5)


def test_one_alone_stays_as_measured() -> None:
    scores = [BICUBIC, Score("photo", 30.5, 0.5), Score("mine", 30.9, 0.9)]
    assert with_expectation(scores, [None, 0.7, None], 0.4) == scores


def test_what_could_not_be_measured_stays_so() -> None:
    scores = [Score(label, None, None) for label in ("bicubic", "clean", "photo")]
    assert with_expectation(scores, [None, 0.0, 0.7], 0.0) == scores


def test_a_measure_counts_for_more_on_a_larger_picture() -> None:
    assert trust_of(EVEN_SIDE) == 0.5
    assert trust_of(30) < trust_of(120) < trust_of(3000) < 1
    picture = np.random.default_rng(0).integers(0, 256, (120, 480, 3), np.uint8)
    assert Reduction(picture, 2).trust == pytest.approx(trust_of(120))
    assert Reduction(picture[:4], 2).trust == 0.0
