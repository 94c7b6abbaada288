"""The sheet beside a result."""

import numpy as np

from esrt_core.evaluation.comparison import Candidate, comparison_sheet
from esrt_core.media.frame import Frame
from esrt_core.media.resize import enlarge_bicubic
from esrt_core.pipeline.compare import result_sheet


def test_it_is_the_comparison_of_bicubic_and_the_model() -> None:
    source = Frame((np.random.default_rng(3).integers(0, 256, (30, 40, 3), np.uint8),))
    result = Frame((np.zeros((60, 80, 3), np.uint8),))
    candidates = (Candidate("bicubic", enlarge_bicubic(source, 80, 60)), Candidate("ESRT (tiny)", result))
    expected = comparison_sheet(source, candidates).planes[0]
    assert (result_sheet(source, result, "tiny").planes[0] == expected).all()
