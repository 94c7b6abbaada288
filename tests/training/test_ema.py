import torch
from torch import nn

from esrt_core.training.ema import EMA


def test_the_average_follows_quickly_at_first_and_slowly_later() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    ema = EMA(network, decay=0.9)
    nn.init.ones_(network.weight)
    ema.update(network)
    assert ema.shadow["weight"].item() == torch.tensor(1 - 2 / 11).item()
    for _ in range(200):
        ema.update(network)
    before = ema.shadow["weight"].item()
    nn.init.zeros_(network.weight)
    ema.update(network)
    assert abs(ema.shadow["weight"].item() - 0.9 * before) < 1e-6


def test_the_average_is_written_into_another_network() -> None:
    network, other = nn.Linear(2, 2), nn.Linear(2, 2)
    EMA(network, 0.9).copy_to(other)
    assert torch.equal(network.weight, other.weight)
