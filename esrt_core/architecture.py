"""Facts of the ESRT architecture that code without torch needs as well."""

Shapes = dict[str, tuple[int, ...]]

SCALES = (2, 3, 4)
FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}  # of the upsampler's steps, by scale
MIN_SIDE = 3  # px; smaller inputs leave a piece of the sequence, or the half-size branch, empty
# Multiply-adds per input pixel of the convolutions, by scale; attention adds a share that grows with its windows.
PASS_COST = {2: 700_000, 3: 800_000, 4: 1_020_000}


def scales_text() -> str:
    """Return the scales as messages list them: "2, 3 or 4"."""
    return f"{', '.join(map(str, SCALES[:-1]))} or {SCALES[-1]}"


def parameter_shapes(scale: int, channels: int, blocks: int) -> Shapes:
    """Return the shape of every parameter of esrt_core.model.ESRT by its name, without making the network."""
    shapes: Shapes = {"a1": (1,), "a2": (1,)}
    shapes |= _convolution("head", channels, 3)
    for block in range(blocks):
        shapes |= _below(f"lcb.hpb.{block}", _hpb(channels))
    shapes |= _convolution("ltb.reduce", channels, blocks * channels)
    shapes |= _below("ltb.et", _transformer(9 * channels))
    shapes |= _convolution("ltb.conv", channels, channels)
    shapes |= _convolution("reduce", channels, channels)
    for branch in ("tail", "up"):
        for step, factor in enumerate(FACTORS[scale]):
            shapes |= _convolution(f"{branch}.steps.{step}", channels * factor**2, channels)
        shapes |= _convolution(f"{branch}.last", 3, channels, bias=branch == "tail")
    return shapes


def _hpb(channels: int) -> Shapes:
    shapes: Shapes = {"fuse.weight": (channels, 2 * channels, 1, 1)} | _below("ca", _attention(channels))
    for arfb in ("enc", "low", "high", "out"):
        shapes |= _below(f"arfb_{arfb}", _arfb(channels))
    return shapes


def _arfb(channels: int) -> Shapes:
    half = channels // 2
    shapes: Shapes = {f"l{index}": (1,) for index in range(1, 6)}
    for unit in ("ru1", "ru2"):
        shapes |= {f"{unit}.m1": (1,), f"{unit}.m2": (1,), f"{unit}.act.weight": (half,)}
        shapes |= _convolution(f"{unit}.reduce", half, channels) | _convolution(f"{unit}.expand", channels, half)
    shapes |= {"fuse.weight": (channels, 2 * channels, 1, 1)} | _below("ca", _attention(channels))
    return shapes | _convolution("conv", channels, channels, bias=False)


def _attention(channels: int) -> Shapes:
    inner = channels // 16
    return _convolution("down", inner, channels, size=1) | _convolution("up", channels, inner, size=1)


def _transformer(dim: int) -> Shapes:
    half, quarter = dim // 2, dim // 4
    shapes: Shapes = {f"norm{index}.{part}": (dim,) for index in (1, 2) for part in ("weight", "bias")}
    shapes |= {"emha.reduce.weight": (half, dim), "emha.qkv.weight": (3 * half, half)}
    shapes |= {"emha.expand.weight": (dim, half), "emha.expand.bias": (dim,)}
    shapes |= {"mlp.fc1.weight": (quarter, dim), "mlp.fc1.bias": (quarter,)}
    return shapes | {"mlp.fc2.weight": (dim, quarter), "mlp.fc2.bias": (dim,)}


def _convolution(name: str, outputs: int, inputs: int, size: int = 3, bias: bool = True) -> Shapes:
    weight: Shapes = {f"{name}.weight": (outputs, inputs, size, size)}
    return weight | {f"{name}.bias": (outputs,)} if bias else weight


def _below(name: str, shapes: Shapes) -> Shapes:
    return {f"{name}.{inner}": shape for inner, shape in shapes.items()}
