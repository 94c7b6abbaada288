"""The network computes what the paper's network computes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from esrt_core.architecture import MIN_SIDE
from esrt_core.model import ESRT, ESRTConfig
from esrt_core.weights.detect import authors_name

FIXTURE = Path(__file__).parents[1] / "fixtures" / "esrt_parity.npz"


def parity_value(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.floating]:
    """Draw one parameter, under the authors' name, as the fixture's recipe says."""
    x = generator.standard_normal(shape).astype(np.float32)
    if name.endswith((".scale", "norm1.weight", "norm2.weight")):
        return np.float32(1) + np.float32(0.1) * x
    if name.endswith("relu.weight"):
        return np.float32(0.25) + np.float32(0.05) * x
    if x.ndim == 1:
        return np.float32(0.05) * x
    scaled: NDArray[np.floating] = x / np.sqrt(np.prod(shape[1:]))
    return scaled


def parity_network(scale: int, seed: int, dtype: torch.dtype) -> ESRT:
    network = ESRT(ESRTConfig(scale)).to(dtype).eval()
    shapes = {authors_name(ours): (ours, tuple(tensor.shape)) for ours, tensor in network.state_dict().items()}
    generator = np.random.Generator(np.random.PCG64(seed))
    state = {}
    for name in sorted(shapes):
        ours, shape = shapes[name]
        state[ours] = torch.from_numpy(np.asarray(parity_value(name, shape, generator))).to(dtype)
    network.load_state_dict(state)
    return network


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 2e-5), (torch.float64, 1e-6)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_output_equals_the_published_networks(scale: int, dtype: torch.dtype, limit: float) -> None:
    with np.load(FIXTURE) as fixture:
        seed, x, expected = (fixture[f"x{scale}_{key}"] for key in ("seed", "input", "output"))
    network = parity_network(scale, int(seed), dtype)
    with torch.inference_mode():
        out = network(torch.from_numpy(x).to(dtype)).numpy()
    assert np.abs(out - expected).max() <= limit * expected.std()


@pytest.mark.parametrize(("scale", "parameters"), [(2, 677_783), (3, 770_263), (4, 751_767)])
def test_parameter_count_is_the_papers(scale: int, parameters: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in ESRT(ESRTConfig(scale)).parameters()) == parameters


@pytest.mark.parametrize(
    ("scale", "size"), [(2, (MIN_SIDE, MIN_SIDE)), (2, (3, 8)), (2, (13, 10)), (3, (16, 3)), (4, (5, 7))]
)
def test_any_size_from_3_by_3_is_enlarged(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = ESRT(ESRTConfig(scale, channels=16, blocks=1)).eval()
    with torch.inference_mode():
        out = network(torch.rand(2, 3, *size))
    assert out.shape == (2, 3, scale * size[0], scale * size[1])
    assert torch.isfinite(out).all()


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    network = ESRT(ESRTConfig(2, channels=16, blocks=1)).eval()
    x = torch.rand(3, 3, 9, 11)
    with torch.inference_mode():
        alone = torch.cat([network(x[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(network(x), alone, rtol=0, atol=1e-5)


def test_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="not 5"):
        ESRTConfig(5)
