from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from esrt_core.architecture import MIN_SIDE, SCALES
from esrt_core.engine.fused import FusedESRT, fuse
from esrt_core.engine.fused.layers import FixedPReLU
from esrt_core.engine.fused.upsampler import ComposedUpsampler
from esrt_core.model import ESRT, ESRTConfig
from esrt_core.model.blocks import HPB
from esrt_core.model.esrt import Upsampler
from tests.engine.counting import Count

TOLERANCE = 1e-4
# What one tile of 48 x 48 LR pixels may cost, per LR pixel. These may fall, never rise.
MULTIPLY_ADDS = {2: 789_036, 3: 814_251, 4: 849_552}
OPERATORS = 711
BYTES = {2: 15_016, 3: 15_206, 4: 15_473}


def random_network(scale: int, channels: int = 16, blocks: int = 2) -> ESRT:
    """Make a network in which nothing is neutral: no scalar is 1, no bias 0, and some scalars are negative."""
    torch.manual_seed(scale)
    network = ESRT(ESRTConfig(scale, channels, blocks)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
        for index, hpb in enumerate(network.lcb.hpb):
            assert isinstance(hpb, HPB)
            hpb.arfb_low.l5.fill_(-0.7)
            hpb.arfb_high.l5.fill_(0.0 if index else 0.4)
            hpb.arfb_out.l4.fill_(-0.5)
            hpb.arfb_enc.ru1.m1.fill_(-1.1)
    return network


def picture(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module", params=SCALES)
def network(request: pytest.FixtureRequest) -> ESRT:
    return random_network(request.param)


@pytest.fixture(scope="module")
def fast(network: ESRT) -> FusedESRT:
    return fuse(network)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("size", "windows"),
    [
        ((MIN_SIDE, MIN_SIDE), (1, 1)),
        ((MIN_SIDE, 4), (1, 1)),
        ((5, 4), (1, 1)),
        ((17, 22), (1, 1)),
        ((25, 31), (2, 3)),
        ((MIN_SIDE, 40), (1, 2)),
        ((24, 32), (2, 2)),
    ],
)
def test_fast_form_equals_the_network_up_to_its_borders(
    network: ESRT, fast: FusedESRT, size: tuple[int, int], windows: tuple[int, int]
) -> None:
    x = picture(2, 3, *size)
    with torch.inference_mode():
        expected, got = network(x, windows), fast(x, windows)
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= TOLERANCE * max(1.0, float(expected.std()))


def test_published_width_agrees_too() -> None:
    network = random_network(4, channels=32, blocks=3)
    x = picture(1, 3, 19, 14)
    with torch.inference_mode():
        expected = network(x)
        assert (fuse(network)(x) - expected).abs().max() <= TOLERANCE * max(1.0, float(expected.std()))


def test_convolutions_that_return_planes_change_nothing(
    fast: FusedESRT, network: ESRT, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planar(x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], *rest: object) -> Tensor:
        return F.conv2d(x, weight, bias, padding=padding).contiguous()

    x = picture(2, 3, 9, 11)
    monkeypatch.setattr(torch, "mkldnn_convolution", planar)
    with torch.inference_mode():
        expected = network(x)
        assert (fast(x) - expected).abs().max() <= TOLERANCE * max(1.0, float(expected.std()))


def test_memory_layout_of_the_input_does_not_matter(fast: FusedESRT) -> None:
    x = picture(2, 3, 9, 11)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x.contiguous(memory_format=torch.channels_last)), fast(x), rtol=0, atol=0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(3, 3), (3, 7), (8, 6)])
def test_composed_upsampler_is_exact_in_every_pixel(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    upsampler = Upsampler(8, scale, bias=True)
    x = picture(2, 8, *size)
    with torch.inference_mode():
        got = F.pixel_shuffle(ComposedUpsampler(upsampler)(x), scale)
        torch.testing.assert_close(got, upsampler(x), rtol=0, atol=2e-6)


def test_network_stays_as_it_was() -> None:
    network = random_network(3)
    before = deepcopy(network.state_dict())
    fast = fuse(network)
    with torch.inference_mode():
        fast(picture(1, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not list(fast.parameters())


@pytest.mark.parametrize("count", [1, 3])
def test_result_does_not_depend_on_the_batch(fast: FusedESRT, count: int) -> None:
    x = picture(8, 3, 24, 20)
    with torch.inference_mode():
        assert torch.equal(fast(x[:count]), fast(x)[:count])


def test_result_does_not_depend_on_the_threads(fast: FusedESRT, threads: None) -> None:
    x = picture(3, 3, 24, 20)
    with torch.inference_mode():
        torch.set_num_threads(1)
        one = fast(x)
        torch.set_num_threads(2)
        assert torch.equal(fast(x), one)


@pytest.mark.parametrize("slopes", [(0.2, 0.4), (0.2, 1.5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prelu_is_torchs_to_the_last_bit(dtype: torch.dtype, slopes: tuple[float, float]) -> None:
    x, slope = picture(1, 2, 8, 8).sub(0.5).to(dtype), torch.tensor(slopes)
    act = FixedPReLU(slope).to(dtype)
    assert torch.equal(act(x), F.prelu(x, slope.to(dtype)))


def test_half_precision_does_not_depend_on_the_batch() -> None:
    mixed = fuse(random_network(2), torch.bfloat16)
    x = picture(3, 3, 24, 20)
    with torch.inference_mode():
        assert torch.equal(mixed(x[:1]), mixed(x)[:1])


def test_half_precision_keeps_the_ends_in_float32() -> None:
    network = random_network(2)
    mixed = fuse(network, torch.bfloat16)
    assert mixed.head.weight.dtype == torch.float32
    assert mixed.et.qkv.weight.dtype == torch.bfloat16
    x = picture(1, 3, 12, 12)
    with torch.inference_mode():
        expected, got = network(x), mixed(x)
    assert got.dtype == torch.float32
    error = (got - expected).square().mean().sqrt() / expected.std()
    assert 0 < error < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
def test_a_tile_costs_no_more_than_it_did(scale: int) -> None:
    fast = fuse(ESRT(ESRTConfig(scale)))
    x = picture(1, 3, 48, 48)
    with torch.no_grad(), Count() as count:
        fast(x)
    pixels = 48 * 48
    assert count.multiply_adds // pixels <= MULTIPLY_ADDS[scale]
    assert count.operators <= OPERATORS
    assert count.bytes // pixels <= BYTES[scale]


@pytest.mark.slow
def test_attention_goes_through_one_window_after_the_other() -> None:
    fast, largest = fuse(ESRT(ESRTConfig(2))), []
    for height, rows in ((48, 1), (144, 3)):
        with torch.no_grad(), Count() as count:
            fast(picture(1, 3, height, 96), (rows, 2))
        largest.append(count.largest)
    assert largest[0] == 48 * 96 * 9 * 32 * 4  # the tokens of a row of windows; query, key and value of one are less
    assert largest[1] < 2 * largest[0]
