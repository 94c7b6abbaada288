"""Facts of the ESRT architecture that code without torch needs as well."""

SCALES = (2, 3, 4)
MIN_SIDE = 3  # px; smaller inputs leave a piece of the sequence, or the half-size branch, empty
# Multiply-adds per input pixel of the convolutions, by scale; attention adds a share that grows with its windows.
PASS_COST = {2: 700_000, 3: 800_000, 4: 1_020_000}


def scales_text() -> str:
    """Return the scales as messages list them: "2, 3 or 4"."""
    return f"{', '.join(map(str, SCALES[:-1]))} or {SCALES[-1]}"
