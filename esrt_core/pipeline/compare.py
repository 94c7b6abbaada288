"""The sheet beside a result: bicubic and ESRT where they differ most."""

from esrt_core.evaluation.comparison import Candidate, comparison_sheet
from esrt_core.media.frame import Frame
from esrt_core.media.resize import enlarge_bicubic


def result_sheet(source: Frame, result: Frame, model: str) -> Frame:
    """Draw the source's pixels, bicubic and ESRT. Needs as much memory again as the result."""
    bicubic = enlarge_bicubic(source, result.width, result.height)
    return comparison_sheet(source, (Candidate("bicubic", bicubic), Candidate(f"ESRT ({model})", result)))
