"""An exported program is run and compared with the network before it is called done."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from esrt_core.errors import WeightsError
from esrt_core.export.form import Form

Images = NDArray[np.float32]  # (B, 3, H, W)
Run = Callable[[Images], NDArray[Any]]
TOLERANCE = 1e-4  # of a range of 1; other kernels sum in another order, which was seen to make up to 2e-5


def largest_difference(run: Run, form: Form) -> float:
    """Run a program at the form's shapes and return the largest difference from the network's own output.

    Raises WeightsError when that is more than TOLERANCE, or another shape.
    """
    random = np.random.default_rng(0)
    worst = 0.0
    for batch, height, width in form.shapes:
        images = random.random((batch, 3, height, width), np.float32)
        with torch.inference_mode():
            expected = form.network(torch.from_numpy(images), form.windows).numpy()
        found = run(images)
        size = f"{batch} x 3 x {height} x {width}"
        if found.shape != expected.shape:
            raise WeightsError(f"the exported program makes {found.shape} of {size}, expected {expected.shape}; {_WAY}")
        difference = float(np.abs(found - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):  # NaN is no less
            raise WeightsError(f"the exported program differs from the network by {difference:.1e} at {size}; {_WAY}")
        worst = max(worst, difference)
    return worst


_WAY = "nothing was written: try the versions in constraints.txt"
