"""How long an idle thread waits busily for more work."""

import os

SPINS = "10000"  # some tens of microseconds: longer than what lies between two layers


def wait_briefly() -> None:
    """Let idle threads sleep soon, unless the environment says how they wait; only before torch is imported.

    The OpenMP of torch's Linux builds lets them spin for milliseconds. Where other programs want the cores too, they
    take the time of those that work: a picture then takes several times as long.
    https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
