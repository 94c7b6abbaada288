"""What is expected of weights counts beside what was measured."""

import pytest

from esrt_core.compare.gain import EXPECTED, MEASURED, Score, with_expectation

BICUBIC = Score("bicubic", 30.0, 0.0)


def test_differences_between_bundled_weights_are_in_part_those_expected() -> None:
    scores = [BICUBIC, Score("clean", 31.0, 1.0), Score("photo", 30.5, 0.5), Score("mine", 30.9, 0.9)]
    found = with_expectation(scores, [None, 0.0, 1.0, None])
    assert (found[0], found[3]) == (scores[0], scores[3])
    clean, photo = found[1], found[2]
    assert photo.gain is not None
    assert clean.gain is not None
    assert photo.gain - clean.gain == pytest.approx(MEASURED * -0.5 + EXPECTED * 1.0)
    assert (photo.gain + clean.gain) / 2 == pytest.approx(0.75)
    assert (clean.psnr, photo.psnr) == (31.0, 30.5)


def test_one_alone_stays_as_measured() -> None:
    scores = [BICUBIC, Score("photo", 30.5, 0.5), Score("mine", 30.9, 0.9)]
    assert with_expectation(scores, [None, 0.7, None]) == scores


def test_what_could_not_be_measured_stays_so() -> None:
    scores = [Score(label, None, None) for label in ("bicubic", "clean", "photo")]
    assert with_expectation(scores, [None, 0.0, 0.7]) == scores
